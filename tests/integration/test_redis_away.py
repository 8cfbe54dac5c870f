"""Redis is killed and stays away: every process lives on, says so without flooding its log, and goes on by itself."""

import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from durable.records import State
from tests.conftest import wait_until
from tests.site import Site

#: Long enough for the pauses between tries to have grown to their longest, s.
AWAY_S = 12.0
#: The longest pause between two tries is 5 s; the rest is for the work itself on a loaded machine.
BACK_WITHIN_S = 5.0 + 3.0

TASKS = """
from tasks import huey

@huey.task()
def note(*args, **kwargs):
    return 1
"""
NEWS = "import json, time; print(json.dumps({'id': str(time.time())}))"
CONFIG = {
    "consumers": 1,
    "tasks": ["my_tasks"],
    "watchers": {"inbox": {"path": "Inbox", "task": "note", "settle": "0s"}},
    "pollers": {"news": {"every": "1s", "command": [sys.executable, "-c", NEWS], "task": "note"}},
    "schedules": {"tick": {"cron": "* * * * *", "task": "note"}},
}
PRODUCERS = ("watch-inbox", "poll-news", "scheduler")


@pytest.fixture
def site(short_tmp: Path) -> Iterator[Site]:
    (short_tmp / "my_tasks.py").write_text(TASKS)
    (short_tmp / "Inbox").mkdir()
    own = Site(short_tmp, CONFIG)
    own.start("redis")
    yield own
    own.close()


def done_by(site: Site, source: str) -> int:
    """How many tasks of this source have succeeded, of the latest thousand."""
    return sum(record.source == source for record in site.store.page(State.SUCCEEDED, 1000))


def complaints(site: Site, label: str) -> list[str]:
    """What an app's log says above INFO."""
    lines = site.log(label).read_text().splitlines()
    return [line for line in lines if re.search(r"WARNING|ERROR|CRITICAL|Traceback", line)]


def test_every_process_outlives_redis_and_goes_on_when_it_is_back(site: Site) -> None:
    for role, name in (("watch", "inbox"), ("poll", "news"), ("consumer", "1")):
        site.start(role, name)
    wait_until(lambda: done_by(site, "poller:news"), what="the way is open")
    before = done_by(site, "poller:news")

    site.kill("redis")
    gone = time.monotonic()
    scheduler = site.launch("scheduler")  # it has a schedule to read, so it tries at once
    (site.folder / "Inbox" / "a.txt").write_text("dropped meanwhile")
    wait_until(lambda: all(complaints(site, label) for label in PRODUCERS), what="they say so")
    time.sleep(AWAY_S - (time.monotonic() - gone))
    assert [label for label, process in site.processes.items() if process.poll() is not None] == []

    site.start("redis")
    back = time.monotonic()
    wait_until(lambda: done_by(site, "watcher:inbox") == 1, BACK_WITHIN_S, "the file's task ran")
    left = BACK_WITHIN_S - (time.monotonic() - back)
    wait_until(lambda: done_by(site, "poller:news") > before, left, "polled items run again")
    ready = site.log("scheduler")
    left = max(0.1, BACK_WITHIN_S - (time.monotonic() - back))
    wait_until(lambda: ": ready\n" in ready.read_text(), left, "the scheduler knows its place")
    assert scheduler.poll() is None

    for label in PRODUCERS:
        assert len(complaints(site, label)) == 1, "one line a minute"
        tries = re.search(r"back after (\d+) failed tries", site.log(label).read_text())
        assert tries
        assert int(tries[1]) >= 5  # so a line for each of them would have been seen


def test_a_consumer_says_once_a_minute_that_redis_is_away_and_once_that_it_is_back(
    site: Site,
) -> None:
    site.start("consumer", "1")
    site.kill("redis")
    wait_until(lambda: complaints(site, "consumer-1"), what="it says so")
    time.sleep(4)
    assert len(complaints(site, "consumer-1")) == 1
    site.start("redis")
    log = site.log("consumer-1")
    wait_until(lambda: "Redis: back after" in log.read_text(), BACK_WITHIN_S, "it says so too")
