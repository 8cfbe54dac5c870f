"""Everything is killed at once, as when a machine loses its power; then what the boot unit says is run, and no more."""

import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from durable.records import Record, State
from tests.acceptance.claude_pm2_site import ClaudePm2Site
from tests.acceptance.claude_site import bash, claude_settings, dotenv, marked, say, script
from tests.acceptance.standin_process import standin
from tests.conftest import wait_until


@pytest.fixture
def site() -> Iterator[ClaudePm2Site]:
    folder = Path(tempfile.mkdtemp(prefix="bc-"))
    with standin() as api:
        dotenv(folder, api)
        config = {
            "instance": "cut",
            "consumers": 1,
            "claude": claude_settings(),
            "schedules": {"often": {"every": "5s", "prompt": script(say("a tick"))}},
        }
        own = ClaudePm2Site(folder, config)
        try:
            yield own
        finally:
            own.close()
            shutil.rmtree(folder, ignore_errors=True)


class Unit:
    """The unit as a file, and what systemd would do with it."""

    def __init__(self, file: Path) -> None:
        pairs = [line.partition("=") for line in file.read_text().splitlines()]
        self._said = [(name, value) for name, _, value in pairs]

    def run(self, what: str) -> str:
        """Run the command of ExecStart or ExecStop, in the environment and the folder of the unit."""
        words = [shlex.split(value)[0] for name, value in self._said if name == "Environment"]
        [command] = [value for name, value in self._said if name == what]
        [folder] = [value for name, value in self._said if name == "WorkingDirectory"]
        done = subprocess.run(
            shlex.split(command),
            env=dict(word.split("=", 1) for word in words),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def ends(site: ClaudePm2Site, task_id: str) -> list[str]:
    found: Any = site.store.client.xrange("{cut}:events")
    said = [f[b"event"].decode() for _, f in found if f[b"id"].decode() == task_id]
    return [event for event in said if event in ("succeeded", "failed", "cancelled")]


def test_after_a_power_cut_the_unit_brings_all_back_and_every_task_ends_well(
    site: ClaudePm2Site,
) -> None:
    site.baton("up")
    site.baton("boot", "install", "--into", str(site.folder))
    unit = Unit(site.folder / "baton-cut.service")
    lines, go = site.folder / "lines", site.folder / "go"
    wait = bash(f"echo x >> {lines}; test -e {go} || sleep 600")
    running = site.submit(script(wait, say("all done")))
    wait_until(lines.exists, 60, "it is in its tool")
    queued = site.submit(script(say("all done")))
    scheduled = site.submit(script(say("all done")), delay=1)
    wait_until(lambda: "schedule:often" in site.store.counts_by_source(), 30, "a tick is in")

    site.cut_the_power()
    assert not marked(f"BATON_ATTEMPT={running}")
    go.touch()
    time.sleep(1)  # so that the scheduled one is overdue
    assert "3 of 3 apps are ready" in unit.run("ExecStart")
    records: list[Record] = [site.finish(task_id) for task_id in (running, queued, scheduled)]
    assert [record.state for record in records] == [State.SUCCEEDED] * 3
    assert lines.read_text() == "x\nx\n"  # the turn in flight, once more
    for task_id in (running, queued, scheduled):
        assert ends(site, task_id) == ["succeeded"]
    wait_until(lambda: site.done_by("schedule:often") >= 2, 40, "that tick and the next have run")

    unit.run("ExecStart")  # a second one touches nothing
    unit.run("ExecStop")
    assert site.left() == {}
    assert not site.pm2.daemon_runs()
