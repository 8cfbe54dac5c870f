"""The verbs schedules, why and run, as a person types them, on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from durable.problems import Problems
from durable.records import Cursor, Entry, Lease, State
from tests.integration.test_cli_verbs import baton, facts, record
from tests.site import Site

CONFIG = {
    "consumers": 1,
    "claude": {"command": "/no/such/claude"},
    "tasks": ["my_tasks"],
    "watchers": {"inbox": {"path": "Inbox", "prompt": "x"}},
    "schedules": {
        "briefing": {"cron": "0 9 * * 1", "timezone": "Europe/Berlin", "prompt": "{{ tick }}"},
        "often": {"every": "15m", "prompt": "Look."},
    },
}


@pytest.fixture
def site(short_tmp: Path) -> Iterator[Site]:
    (short_tmp / "my_tasks.py").write_text(
        "from tasks import cron, huey\n"
        "@huey.periodic_task(cron('0 3 * * *', timezone='UTC'))\n"
        "def tidy():\n    pass\n"
        "@huey.periodic_task(lambda moment: False)\n"
        "def never():\n    pass\n"
    )
    made = Site(short_tmp, CONFIG, {"TZ": "UTC"})
    made.start("redis")
    yield made
    made.close()


def tick(site: Site, about: str, **more: object) -> None:
    source = "schedule:briefing"
    entry = Entry(journal=source, what="skipped", about=about, **more)  # type: ignore[arg-type]
    site.store.submit([], Cursor(source, site.store.read_cursor(source), about), [entry])


def test_every_schedule_is_listed_with_its_next_tick(site: Site) -> None:
    listed = {row["name"]: row for row in facts(site, "schedules")}
    assert set(listed) == {"briefing", "often", "my_tasks.tidy", "my_tasks.never"}
    assert listed["briefing"]["when"] == "0 9 * * 1 Europe/Berlin"
    assert listed["briefing"]["next"][11:16] in ("08:00", "07:00")
    assert listed["often"]["next"][14:16] in ("00", "15", "30", "45")
    assert listed["my_tasks.never"]["next"] is None
    said = baton(site, "schedules")
    assert "it has not fired yet" in said
    assert "SCHEDULE" in said
    assert "every 15m" in said
    assert "a function in Python" in said
    assert "Times are this machine's (" in said


def test_a_schedule_is_fired_by_hand_and_says_so(site: Site) -> None:
    done = facts(site, "run", "briefing")
    assert done["new"]
    task = record(site, done["id"])
    assert (task.source, task.state) == ("schedule:briefing", State.QUEUED)
    assert facts(site, "run", "briefing")["id"] != done["id"], "as often as a person wants"
    assert f"fired by hand: task {done['id'][:8]} queued" in baton(site, "why", "briefing")
    [row] = [r for r in facts(site, "schedules") if r["name"] == "briefing"]
    assert (row["last"]["what"], row["last"]["why"]) == ("run", "by hand")
    assert record(site, facts(site, "run", "tidy")["id"]).name == "my_tasks.tidy"
    assert "There is: briefing, my_tasks.never" in baton(site, "run", "nobody", status=1)


def test_why_a_schedule_did_not_run(site: Site) -> None:
    assert "has not fired yet" in baton(site, "why", "briefing")
    tick(site, "2026-11-16T08:00Z", why="older than catch_up_window, which is 1d")
    tick(site, "2026-11-17T08:00Z", until="2026-11-19T08:00Z", count=3, why="catch_up is none")
    tick(site, "2026-11-20T08:00Z", why="into the tick of 2026-11-20T09:00Z, which came first")
    said = baton(site, "why", "briefing")
    assert "skipped: into the tick of 2026-11-20 09:00, which came first" in said
    assert "the tick of 2026-11-16 08:00 skipped: older than catch_up_window, which is 1d" in said
    assert "3 in a row, 2026-11-17 08:00 to 2026-11-19 08:00 skipped: catch_up is none" in said
    [_, newest, oldest] = facts(site, "why", "schedule:briefing")["journal"]
    assert (newest["count"], oldest["about"]) == (3, "2026-11-16T08:00Z")


def test_why_names_a_python_task_and_all_that_share_a_name(site: Site) -> None:
    assert "schedule:my_tasks.tidy\n  It has not fired yet" in baton(site, "why", "tidy")
    assert facts(site, "why", "my_tasks.never")["source"] == "schedule:my_tasks.never"
    both = {"watchers": {"briefing": {"path": "Other", "prompt": "x"}}}
    site.configure(CONFIG | both)
    said = baton(site, "why", "briefing")
    assert "schedule:briefing\n" in said
    assert "watcher:briefing\n" in said
    assert facts(site, "why", "briefing")["others"] == ["watcher:briefing"]
    assert facts(site, "why", "watcher:briefing")["source"] == "watcher:briefing"


def test_why_begins_with_what_stands_in_the_way(site: Site) -> None:
    store = site.store
    Problems(store.client, store.prefix).tell("schedule:briefing", "ran 36 min late")
    tick(site, "2026-11-16T08:00Z", why="x")
    name, problem, ticked = baton(site, "why", "briefing").splitlines()[:3]
    assert (name, "ran 36 min late (since" in problem) == ("schedule:briefing", True)
    assert "the tick of 2026-11-16 08:00 skipped: x" in ticked
    [found] = facts(site, "why", "briefing")["problems"]
    assert found["text"] == "ran 36 min late"


def test_why_a_task_stands_where_it_does(site: Site) -> None:
    def why(task_id: str) -> str:
        return " ".join(facts(site, "why", task_id)["why"])

    task_id = facts(site, "add", "Say hello.", "--lock", "l")["id"]
    assert "It came in" in why(task_id)
    assert "It waits in default, which no consumer serves" in why(task_id)
    baton(site, "pause", "holidays")
    assert "gate closed for all tasks: pause" in why(task_id)
    assert "holidays" in baton(site, "why", task_id[:6])
    baton(site, "unpause")
    elsewhere = facts(site, "add", "Elsewhere.", "--queue", "host:other")["id"]
    assert "It waits in host:other, which no consumer serves" in why(elsewhere)
    lease = site.store.claim("me", "n", ("default",), 30_000)
    assert isinstance(lease, Lease)
    assert "Attempt 1 runs since" in why(task_id)
    second = facts(site, "add", "After it.", "--lock", "l")["id"]
    assert f"It waits for task {task_id}, which holds the lock" in why(second)
    due = site.store.now_ms() + 600_000
    settle = site.store.settle
    settle(lease, State.SCHEDULED, outcome="crashed", reason="exit 3", retry_ms=due)
    assert "after attempt 1 ended: exit 3" in why(task_id)
    baton(site, "cancel", task_id)
    assert "as cancelled" in why(task_id)
    third = site.store.claim("me", "m", ("default",), 30_000)
    assert isinstance(third, Lease)
    settle(third, State.HELD, outcome="crashed", reason="its program is not known")
    assert "waits for a person: its program is not known" in why(second)
    assert "./baton release" in why(second)


def test_why_of_a_watcher_and_of_what_there_is_not(site: Site) -> None:
    assert "none yet" in baton(site, "why", "inbox")
    said = baton(site, "why", "nothing", status=1)
    assert "No schedule, watcher, poller or task is called 'nothing'" in said
    assert "There is: briefing, often, inbox." in said
    assert "./baton schedules" in said
