"""What stands in the way of a part: told once a minute, cleared once, and gone with its entry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fakeredis
import pytest
import redis

from cli import problems as words
from durable.problems import AGAIN_S, FORGOTTEN_MS, STALE_MS, Problem, Problems
from settings import load

GONE = "the folder is gone: /mnt/nas/Inbox"


class Clock:
    """A steady clock that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def mine(client: redis.Redis, clock: Clock) -> Problems:
    return Problems(client, "{test}:", app="baton-watch-inbox", host="hut", clock=clock)


def beside(client: redis.Redis, host: str = "hut") -> Problems:
    """As another process has it."""
    return Problems(client, "{test}:", host=host)


def test_a_problem_is_told_and_seen_by_others(mine: Problems, client: redis.Redis) -> None:
    assert mine.tell("watcher:inbox", GONE)
    [found] = beside(client).standing()
    assert (found.subject, found.host, found.app) == ("watcher:inbox", "hut", "baton-watch-inbox")
    assert found.text == GONE
    assert abs(found.since_ms - mine.now_ms()) < 60_000
    assert found.seen_ms == found.since_ms


def test_what_is_told_late_stands_since_it_began(mine: Problems) -> None:
    mine.tell("poller:news", "fails: answered 500", lasted_s=600.0)
    [found] = mine.standing()
    assert found.seen_ms - found.since_ms == 600_000
    mine.tell("poller:news", "fails: answered 502", lasted_s=700.0)
    assert mine.standing()[0].since_ms == found.since_ms


def test_another_text_keeps_since_and_is_no_new_problem(mine: Problems) -> None:
    mine.tell("watcher:inbox", GONE)
    [before] = mine.standing()
    assert not mine.tell("watcher:inbox", "the disk is full")
    [after] = mine.standing()
    assert (after.since_ms, after.text) == (before.since_ms, "the disk is full")


def test_the_same_text_goes_to_the_server_once_a_minute(
    mine: Problems, client: redis.Redis, clock: Clock
) -> None:
    mine.tell("watcher:inbox", GONE)
    client.delete("{test}:problems")
    clock.now += AGAIN_S - 1
    mine.tell("watcher:inbox", GONE)
    assert mine.standing() == []
    clock.now += 1
    assert mine.tell("watcher:inbox", GONE)
    assert len(mine.standing()) == 1


def test_what_a_process_before_told_is_cleared(mine: Problems, client: redis.Redis) -> None:
    mine.tell("watcher:inbox", GONE)
    after = beside(client)
    assert after.clear("watcher:inbox")
    assert after.standing() == []
    assert not after.clear("watcher:inbox")


def test_a_problem_that_comes_back_is_new(mine: Problems) -> None:
    mine.tell("poller:news", "the source refuses us")
    mine.clear("poller:news")
    assert mine.tell("poller:news", "the source refuses us")
    assert mine.clear("poller:news")


def test_hosts_have_problems_of_their_own(mine: Problems, client: redis.Redis) -> None:
    nas = beside(client, "nas")
    mine.tell("disk", "5 % free")
    nas.tell("disk", "2 % free")
    nas.clear("disk")
    assert [(p.subject, p.host) for p in mine.standing()] == [("disk", "hut")]


def test_the_coming_and_going_are_events(mine: Problems, client: redis.Redis) -> None:
    mine.tell("disk", "5 % free")
    mine.tell("disk", "4 % free")
    mine.clear("disk")
    rows: Any = client.xrange("{test}:events")
    told = [(row[b"event"], row[b"detail"]) for _, row in rows]
    assert told == [(b"problem", b"disk|hut"), (b"problem over", b"disk|hut")]


def test_a_name_that_is_no_text_can_be_told(mine: Problems) -> None:
    mine.tell("watcher:inbox", "no right to read caf\udce9.txt")
    assert mine.standing()[0].text == "no right to read caf\\udce9.txt"


def test_problems_of_entries_that_are_gone_are_forgotten(
    mine: Problems, client: redis.Redis
) -> None:
    for subject in ("watcher:inbox", "watcher:old", "poller:old", "schedule:old", "disk"):
        mine.tell(subject, "bad")
    beside(client, "nas").tell("watcher:old", "bad")
    gone = mine.keep(["watcher", "poller"], ["watcher:inbox"])
    assert sorted(gone) == ["poller:old", "watcher:old"]
    left = {(p.subject, p.host) for p in mine.standing()}
    here = {(subject, "hut") for subject in ("watcher:inbox", "schedule:old", "disk")}
    assert left == here | {("watcher:old", "nas")}


@pytest.mark.parametrize(
    ("alerts", "left"),
    [
        ("alerts: {command: tell}\n", ["app:baton-alerts", "disk:/", "alerts:look", "schedule:x"]),
        ("", ["schedule:x"]),  # nobody looks after the others any more
    ],
)
def test_up_forgets_what_was_told_of_apps_that_are_gone(
    tmp_path: Path,
    client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    alerts: str,
    left: list[str],
) -> None:
    monkeypatch.setattr("durable.connect.connect", lambda *_, **__: client)
    (tmp_path / "baton.yaml").write_text(f"consumers: 1\n{alerts}")
    settings = load(tmp_path / "baton.yaml", {"BATON_VAR": str(tmp_path / "var")})
    told = Problems(client, "{baton}:", host=settings.host)
    for subject in (
        *("app:baton-alerts", "app:baton-watch-old", "disk:/"),
        *("alerts:look", "schedule:x"),
    ):
        told.tell(subject, "bad")
    words.forget_gone(settings)
    assert {p.subject for p in told.standing()} == set(left)


def test_a_host_not_heard_of_for_a_week_has_none(
    mine: Problems, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    nas, later = beside(client, "nas"), mine.now_ms() + FORGOTTEN_MS + 1000
    nas.tell("disk", "full")
    monkeypatch.setattr(mine, "now_ms", lambda: later)
    assert mine.standing() == []
    assert mine.keep(["watcher"], []) == ["disk"]
    assert nas.standing() == []


def test_one_that_is_not_told_again_is_shown_as_stale() -> None:
    found = Problem(subject="watcher:inbox", host="hut", text=GONE, since_ms=0, seen_ms=60_000)
    fresh, later = 60_000 + STALE_MS, 60_001 + STALE_MS
    assert words.sentence(found, fresh).startswith(f"watcher:inbox on hut: {GONE} (since ")
    assert words.sentence(found, fresh).endswith(")")
    assert words.sentence(found, later).endswith("; not heard of for 5m: its process may be down")
    assert not words.facts(found, fresh)["stale"]
    assert words.facts(found, later) == {
        "subject": "watcher:inbox",
        "host": "hut",
        "app": "",
        "text": GONE,
        "since_ms": 0,
        "seen_ms": 60_000,
        "stale": True,
    }


def test_a_server_that_was_away_hears_of_it_when_it_is_back(clock: Clock) -> None:
    server = fakeredis.FakeServer(server_type="valkey")
    told = Problems(fakeredis.FakeRedis(server=server), "{test}:", host="hut", clock=clock)
    server.connected = False
    with pytest.raises(redis.ConnectionError):
        told.tell("watcher:inbox", GONE)
    server.connected = True
    assert told.tell("watcher:inbox", GONE)


def test_what_nobody_can_read_hides_no_other_and_goes(mine: Problems, client: redis.Redis) -> None:
    client.hset("{test}:problems", "poller:news|hut", b'{"subject": 1')
    mine.tell("watcher:inbox", GONE)
    assert [p.subject for p in mine.standing()] == ["watcher:inbox"]
    mine.keep([], [])
    assert client.hkeys("{test}:problems") == [b"watcher:inbox|hut"]
