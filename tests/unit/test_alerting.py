"""What transitions note for alerts, and who may write what came of it."""

from __future__ import annotations

import pytest
import redis

from durable.alerting import Alerting, Change
from durable.records import Entry, State, Submission
from durable.store import LeaseStore
from tests.unit.leasing import claim


@pytest.fixture
def alerting(client: redis.Redis) -> Alerting:
    found = Alerting(client, "{test}:")
    found.watch("a", 60_000, on=True)
    return found


def put_in(store: LeaseStore, task_id: str, source: str = "watcher:inbox") -> None:
    store.submit([Submission(id=task_id, body=b"{}", source=source)])


def test_a_task_that_fails_or_is_held_is_noted_in_the_order_in_which_it_happened(
    store: LeaseStore, alerting: Alerting
) -> None:
    for task_id in ("a", "b"):
        put_in(store, task_id)
    store.settle(claim(store), State.FAILED, outcome="denied", reason="no Bash")
    store.settle(claim(store), State.HELD, outcome="crashed", reason="look at it")
    store.requeue("b")
    found = [(n.what, n.id, n.source, n.outcome, n.why) for n in alerting.fresh().news]
    assert found == [
        ("failed", "a", "watcher:inbox", "denied", "no Bash"),
        ("held", "b", "watcher:inbox", "", "look at it"),
        ("no longer held", "b", "watcher:inbox", "", ""),
    ]


def test_nothing_is_noted_where_nobody_sends_alerts(store: LeaseStore, client: redis.Redis) -> None:
    put_in(store, "a")
    store.settle(claim(store), State.FAILED, outcome="denied", reason="no Bash")
    assert Alerting(client, "{test}:").fresh() == ([], 0)


def test_a_success_is_no_news(store: LeaseStore, alerting: Alerting) -> None:
    put_in(store, "a")
    store.settle(claim(store), State.SUCCEEDED, outcome="succeeded")
    assert alerting.fresh().news == []


def test_a_reason_that_is_cut_within_a_character_is_read_all_the_same(
    store: LeaseStore, alerting: Alerting
) -> None:
    put_in(store, "a")
    store.settle(claim(store), State.FAILED, outcome="denied", reason="é" * 299 + "x" * 50)
    put_in(store, "b")
    store.settle(claim(store), State.FAILED, outcome="denied", reason="x" + "é" * 299)
    assert [news.id for news in alerting.fresh().news] == ["a", "b"]


def test_a_tick_that_is_late_or_skipped_is_noted_and_one_that_runs_is_not(
    store: LeaseStore, alerting: Alerting
) -> None:
    for what in ("run", "merged", "late", "skipped", "failed"):
        entry = Entry(journal="schedule:nightly", what=what, about="2026-11-23T02:00Z", why="why")
        store.submit([], None, [entry])
    store.submit([], None, [Entry(journal="poller:news", what="failed", why="500")])
    found = [(n.what, n.source, n.about) for n in alerting.fresh().news]
    tick = ("schedule:nightly", "2026-11-23T02:00Z")
    assert found == [("late", *tick), ("skipped", *tick), ("failed", *tick)]


def test_beyond_the_most_that_is_noted_they_are_counted(
    store: LeaseStore, alerting: Alerting, client: redis.Redis
) -> None:
    client.rpush("{test}:alerts:news", *[b'{"what":"failed"}'] * 9_999)
    for task_id in ("a", "b", "c"):
        put_in(store, task_id)
        store.settle(claim(store), State.FAILED, outcome="denied", reason="no Bash")
    assert client.llen("{test}:alerts:news") == 10_000
    assert alerting.fresh().unnoted == 2


def test_one_is_on_watch_until_its_time_is_over_or_it_gives_it_up(alerting: Alerting) -> None:
    token = alerting.watch("a", 60_000, on=True)
    assert alerting.watch("b", 60_000, on=True) == ""
    assert alerting.watch("a", 0, on=True) == token
    other = alerting.watch("b", 60_000, on=True)
    assert other not in ("", token)
    assert alerting.watch("a", 60_000, on=True) == ""


def test_a_host_without_alerts_of_its_own_takes_none_away(
    store: LeaseStore, alerting: Alerting, client: redis.Redis
) -> None:
    put_in(store, "a")
    store.settle(claim(store), State.FAILED, outcome="denied", reason="no Bash")
    alerting.watch("a", 0, on=True)
    assert alerting.watch("b", 60_000, on=False) == ""
    assert len(alerting.fresh().news) == 1
    client.hset("{test}:alerts", "until", store.now_ms() - 86_400_001)
    assert alerting.watch("b", 60_000, on=False) != ""
    assert alerting.fresh().news == []


def test_a_host_with_alerts_takes_over_at_once_from_one_that_has_nobody_to_tell(
    store: LeaseStore, client: redis.Redis
) -> None:
    alerting = Alerting(client, "{test}:")
    token = alerting.watch("a", 60_000, on=False)
    assert alerting.watch("b", 60_000, on=True) not in ("", token)
    put_in(store, "a")
    store.settle(claim(store), State.FAILED, outcome="denied", reason="no Bash")
    assert alerting.watch("a", 60_000, on=False) == ""
    assert len(alerting.fresh().news) == 1


def test_an_instance_that_sends_none_any_more_forgets_what_was_noted(
    store: LeaseStore, alerting: Alerting
) -> None:
    put_in(store, "a")
    store.settle(claim(store), State.FAILED, outcome="denied", reason="no Bash")
    assert alerting.watch("a", 60_000, on=False) != ""
    assert alerting.fresh().news == []


def test_what_came_of_news_is_written_in_the_same_step(
    store: LeaseStore, alerting: Alerting
) -> None:
    token = alerting.watch("a", 60_000, on=True)
    for task_id in ("a", "b"):
        put_in(store, task_id)
        store.settle(claim(store), State.FAILED, outcome="denied", reason="no Bash")
    changes = [Change("incidents", "x", b"{}"), Change("outbox", "1", b"{}")]
    assert alerting.write(token, "0", 1, changes)
    board = alerting.board()
    assert board == ("1", {"x": b"{}"}, {"1": b"{}"}, {})
    assert [news.id for news in alerting.fresh().news] == ["b"]
    assert alerting.write(token, "1", 0, [Change("outbox", "1"), Change("sent", "", b'{"n":1}')])
    assert alerting.board() == ("2", {"x": b"{}"}, {}, {})
    assert alerting.sent() == [{"n": 1}]


@pytest.mark.parametrize(("token", "turn"), [("0", "0"), ("1", "5")])
def test_whoever_is_not_on_watch_or_has_read_something_older_writes_nothing(
    alerting: Alerting, token: str, turn: str
) -> None:
    assert not alerting.write(token, turn, 0, [Change("incidents", "x", b"{}")])
    assert alerting.board().incidents == {}
