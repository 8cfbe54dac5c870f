"""`./baton poll NAME` and the process of a web poller, against a server on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from durable.records import State
from tests.conftest import wait_until
from tests.integration.test_cli_verbs import baton, facts
from tests.integration.web_server import Reply, WebServer, serving
from tests.site import Site


@pytest.fixture
def web() -> Iterator[WebServer]:
    with serving() as server:
        yield server


@pytest.fixture
def site(short_tmp: Path, web: WebServer) -> Iterator[Site]:
    (short_tmp / ".env").write_text("TOKEN=s3cret\n")
    (short_tmp / ".env").chmod(0o600)
    http = {"url": f"{web.url}/issues", "bearer": "TOKEN", "items": "rows"}
    issues = {"every": "1h", "http": http, "prompt": "Triage {{ item.title }}"}
    made = Site(short_tmp, {"consumers": 1, "pollers": {"issues": issues}})
    made.start("redis")
    yield made
    made.close()


def answer(web: WebServer, *ids: int) -> None:
    rows = [{"id": n, "title": f"number {n}"} for n in ids]
    web.replies["/issues"] = Reply(json.dumps({"rows": rows}).encode())


def test_a_person_looks_what_is_new_and_takes_it_in(site: Site, web: WebServer) -> None:
    answer(web, 1, 2)
    said = baton(site, "poll", "issues", "--dry-run")
    assert "2 items are new, and stays so." not in said
    assert "2 items are new, and stay so." in said
    assert "→ Triage number 1" in said
    assert site.store.counts()[State.QUEUED] == 0
    assert [row["id"] for row in facts(site, "poll", "issues")["new"]] == ["1", "2"]
    assert site.store.counts()[State.QUEUED] == 2
    assert "Nothing is new." in baton(site, "poll", "issues")
    assert "number 2" not in baton(site, "why", "issues")
    assert "item 2 went in: task" in baton(site, "why", "issues")
    assert [row["about"] for row in facts(site, "why", "issues")["journal"]] == ["2", "1"]


def test_what_goes_wrong_is_said_in_one_line(site: Site, web: WebServer) -> None:
    web.replies["/issues"] = Reply(status=401)
    said = baton(site, "poll", "issues", status=1)
    assert "answered 401: its credentials are refused" in said
    assert "s3cret" not in said
    assert "There is: issues." in baton(site, "poll", "nobody", status=1)


def test_the_process_of_a_web_poller_takes_items_in(site: Site, web: WebServer) -> None:
    answer(web, 7)
    site.start("poll", "issues")
    wait_until(lambda: site.store.counts()[State.QUEUED] == 1, what="the item is a task")
    [task] = site.store.page(State.QUEUED)
    assert (task.source, task.key) == ("poller:issues", "poll:issues:7")
    assert web.asked[0].headers["authorization"] == "Bearer s3cret"
