"""What `./baton status` says of the producers of this machine, while they run and afterwards."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import wait_until
from tests.integration.test_cli_verbs import baton, facts
from tests.site import Site

ITEMS = "import json\nfor n in range(3): print(json.dumps({'id': n}))\n"


@pytest.fixture
def site(short_tmp: Path) -> Iterator[Site]:
    (short_tmp / "items.py").write_text(ITEMS)
    prompt = {"prompt": "Look"}
    inbox = {"path": "Inbox", "done": "Done", "failed": "Failed", **prompt}
    poll = {"command": [sys.executable, "items.py"], "every": "1h", "first": "all", **prompt}
    site = Site(
        short_tmp,
        {
            "watchers": {"inbox": inbox},
            "pollers": {"news": poll},
            "schedules": {"yearly": {"cron": "0 0 1 1 *", **prompt}},
        },
    )
    site.start("redis")
    yield site
    site.close()


def producer(site: Site, source: str) -> dict[str, Any]:
    found = facts(site, "status")["producers"]
    row: dict[str, Any] = next(row for row in found if row["source"] == source)
    return row


def line(site: Site, source: str) -> str:
    """Its row of the table; the sentence about its problem stands before that."""
    lines = baton(site, "status").splitlines()
    return next(line for line in lines if line.startswith(f"{source}  "))


def test_status_says_what_each_producer_is_at_and_what_was_last(site: Site) -> None:
    assert "not running" in line(site, "watcher:inbox")
    site.start("watch", "inbox")
    site.start("poll", "news")
    site.start("scheduler")
    (site.folder / "Inbox/a.txt").write_text("x")
    wait_until(lambda: producer(site, "watcher:inbox")["claimed"] == 1, what="it is claimed")
    row = producer(site, "watcher:inbox")
    assert (row["running"], row["watching"], row["waiting"]) == (True, "events", 0)
    assert (row["last"]["what"], row["last"]["about"]) == ("run", "a.txt")
    assert "watches by events, 1 claimed" in line(site, "watcher:inbox")
    assert "a.txt went in: task " in line(site, "watcher:inbox")
    wait_until(lambda: producer(site, "poller:news")["polled_at"], what="the source was asked")
    row = producer(site, "poller:news")
    assert (row["items"], row["new"], row["failed"]) == (3, 3, "")
    assert row["next_at"] == pytest.approx(row["polled_at"] + 3600, abs=200)
    assert "every 1h, 3 items, 3 new" in line(site, "poller:news")
    assert producer(site, "schedule:yearly")["running"]
    assert "-01-01 " in line(site, "schedule:yearly")
    assert "0 0 1 1 *" in line(site, "schedule:yearly")


def test_a_source_that_fails_and_a_folder_that_is_gone_stand_in_the_row(site: Site) -> None:
    site.start("watch", "inbox")
    (site.folder / "Inbox").rmdir()
    (site.folder / "items.py").write_text("import sys; sys.exit('no such account')")
    site.start("poll", "news")
    wait_until(lambda: producer(site, "poller:news")["failed"], what="the poll has failed")
    assert "no such account" in line(site, "poller:news")
    missing = "its folder is missing"
    wait_until(lambda: missing in line(site, "watcher:inbox"), what=missing)
    site.kill("watch-inbox")
    assert "not running" in line(site, "watcher:inbox")
    site.stop("redis")
    assert "fails: " in line(site, "poller:news"), "that needs no Redis"
    assert facts(site, "status")["problems"] is None
