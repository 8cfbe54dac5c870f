"""A minute of chaos with a fresh seed, and a shorter one on Debian's Redis over TCP."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.claude_site import marked
from tests.conftest import ROOT, wait_until


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    """The verb, with its folders inside ours."""
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-P", "-u", "-m", "cli", "chaos", *words],
        cwd=ROOT,
        env=env | {"PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.fixture
def folder(short_tmp: Path) -> Iterator[Path]:
    yield short_tmp
    wait_until(lambda: not marked(str(short_tmp)), 10, f"no process of {short_tmp} lives")


def played(folder: Path, tell: Callable[[str], None], *words: str) -> str:
    """What a run said that broke no promise and left nothing behind."""
    run = start(folder, *words)
    said, _ = run.communicate(timeout=300)
    tell(said)  # with the seed, for whoever has to find out
    assert run.returncode == 0, said
    assert re.search(r"^Baton: .*kill consumer [1-9]", said, re.MULTILINE), said
    assert re.search(r"^Baton: .*cancel a waiting task [1-9]", said, re.MULTILINE), said
    assert not list(folder.glob("bc-*"))
    return said


def test_a_minute_of_chaos_loses_nothing_where_plain_huey_loses(
    folder: Path, tell: Callable[[str], None]
) -> None:
    said = played(folder, tell, "--seconds", "60", "--baseline", "15")
    lost = re.search(r"^lost +(\d+) +(\d+)$", said, re.MULTILINE)
    assert lost, said
    assert int(lost[1]) == 0
    assert int(lost[2]) > 0, "plain Huey lost nothing, so this run could not have seen a loss"


@pytest.mark.skipif(not shutil.which("redis-server"), reason="no redis-server on PATH")
def test_twenty_seconds_on_redis_over_tcp_lose_nothing(
    folder: Path, tell: Callable[[str], None]
) -> None:
    on_redis = ("--server", "redis-server", "--tcp")
    said = played(folder, tell, "--seconds", "20", "--baseline", "0", *on_redis)
    assert " on redis " in said
    assert ", TCP, " in said


def test_an_interrupted_run_leaves_nothing_behind(folder: Path) -> None:
    run = start(folder, "--seconds", "60")
    wait_until(lambda: list(folder.glob("bc-*/lines.log")), 30, "tasks run")
    run.send_signal(signal.SIGINT)
    said, _ = run.communicate(timeout=60)
    assert run.returncode == 130, said
    assert not list(folder.glob("bc-*"))
