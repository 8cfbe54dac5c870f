"""A day in the life of an instance: work, changes, mishaps, a power cut. At night everything is done, once."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
import yaml

from durable.records import State
from tests.acceptance.assistant_site import assistant
from tests.acceptance.claude_pm2_site import ClaudePm2Site
from tests.acceptance.claude_site import bash, marked, say, script
from tests.conftest import wait_until

#: Files are dropped before each event of the day, so that something is on its way whatever happens.
AT_ONCE = 2


class Day:
    """What was asked for in its course, so that it can be held against what came of it."""

    def __init__(self, site: ClaudePm2Site) -> None:
        self.site, self.vault = site, site.folder / "vault"
        self.files: list[str] = []
        self.long: list[str] = []
        self._numbers = count(1)

    def drop(self) -> None:
        """Some files, which take claude a moment each."""
        for _ in range(AT_ONCE):
            name = f"note {next(self._numbers)}.txt"
            (self.vault / "Inbox" / name).write_text(f"The meeting of {name} is on Tuesday.\n")
            self.files.append(name)

    def begin(self) -> None:
        """A task that is at work while the next thing happens; returns when it is."""
        mark = self.site.folder / f"begun-{next(self._numbers)}"
        prompt = script(bash(f"echo x >> {mark}; true; sleep 4"), say("done"))
        said = self.site.facts("add", prompt, "--allowed-tools", "Bash")
        self.long.append(said["id"])
        wait_until(lambda: mark.exists() and mark.read_text(), 60, "the long task is at work")
        self.drop()

    def latest(self) -> State:
        record = self.site.store.record(self.long[-1])
        assert record is not None
        return record.state


@pytest.fixture
def day() -> Iterator[Day]:
    with assistant() as site:
        yield Day(site)


def test_a_day_with_all_its_mishaps_ends_with_everything_done_once(day: Day) -> None:
    site = day.site
    apps = set(site.pids())

    day.begin()
    config = yaml.safe_load((site.folder / "baton.yaml").read_text())
    site.configure(config | {"consumers": 1, "budget_usd_per_day": 50})
    steps = site.facts("up")["steps"]
    assert "assistant-consumer-1" in steps["replace"]
    assert "assistant-watch-inbox" in steps["keep"]
    site.configure(config)
    site.baton("up")
    assert set(site.pids()) == apps

    day.begin()
    site.baton("restart")

    day.begin()
    site.kill_app("assistant-redis")

    day.begin()
    site.kill_daemon()
    site.baton("up")
    assert set(site.pids()) == apps

    for task_id in day.long:
        record = site.finish(task_id, 90)
        # none of this costs a run anything: it went on, and was taken over
        assert (record.state, record.attempt) == (State.SUCCEEDED, 1)

    day.begin()
    site.cut_the_power()
    day.drop()
    site.baton("boot", "start")  # what the unit of a boot runs
    assert site.finish(day.long[-1], 90).state is State.SUCCEEDED

    day.begin()
    site.baton("down", "--drain")
    assert site.left() == {}
    site.baton("up")
    assert day.latest() is State.SUCCEEDED

    done = day.vault / "Done"
    wait_until(lambda: all((done / name).exists() for name in day.files), 90, "all files are done")
    counts = site.store.counts_by_source()
    assert counts["watcher:inbox"][State.SUCCEEDED] == len(day.files)
    assert site.store.counts()[State.FAILED] == site.store.counts()[State.HELD] == 0
    assert all((done / f"{name}.summary.md").exists() for name in day.files)
    assert not any(marked(f"BATON_ATTEMPT={task_id}") for task_id in day.long)
