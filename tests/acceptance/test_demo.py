"""`./baton demo` from beginning to end, and interrupted."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.claude_cli import find_claude
from tests.acceptance.claude_site import marked
from tests.conftest import ROOT, wait_until


@pytest.fixture
def demo(short_tmp: Path) -> Iterator[subprocess.Popen[str]]:
    """The demo, with its folder inside ours; whatever is left of it is found by that."""
    env = {name: os.environ[name] for name in ("PATH", "LANG", "BATON_NODE") if name in os.environ}
    env |= {"HOME": str(short_tmp), "TMPDIR": str(short_tmp)}
    env["PATH"] = f"{find_claude().parent}{os.pathsep}{env['PATH']}"
    process = subprocess.Popen(
        [sys.executable, "-P", "-u", "-m", "cli", "demo"],
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    yield process
    if process.poll() is None:
        process.kill()
        process.wait()


def nothing_is_left(folder: Path) -> None:
    wait_until(lambda: not marked(str(folder)), 10, f"no process of {folder} lives")
    assert not list(folder.glob("baton-demo-*"))


def test_the_demo_shows_a_file_and_a_killed_consumer_and_leaves_nothing(
    demo: subprocess.Popen[str], short_tmp: Path
) -> None:
    said, _ = demo.communicate(timeout=120)
    assert demo.returncode == 0, said
    assert "STAND-IN" in said
    steps = [
        *("dropped meeting.md", "claimed", "queued", "leased", "claude is running", "succeeded"),
        *("moved to Done/meeting.md", "kill -9", "taken over", "succeeded"),
        *("one attempt, one result", "Cleaned up"),
    ]
    place = 0
    for step in steps:
        assert step in said[place:], f"{step!r} is missing after:\n{said[:place]}"
        place = said.index(step, place) + 1
    nothing_is_left(short_tmp)


def test_an_interrupted_demo_cleans_up_too(demo: subprocess.Popen[str], short_tmp: Path) -> None:
    assert demo.stdout is not None
    for line in demo.stdout:
        if "claude is running" in line:
            break
    demo.send_signal(signal.SIGINT)
    said, _ = demo.communicate(timeout=90)
    assert demo.returncode == 130, said
    assert "Cleaning up" in said
    nothing_is_left(short_tmp)
