"""Two versions of Baton on one data set: what is newer is left alone, and what is older is read."""

import pytest
import redis

from durable.records import Lease, Nothing, Record, State
from durable.scripting import library
from durable.store import LeaseStore
from durable.versions import FORMAT, MESSAGE, refusal
from tests.unit.leasing import LEASE_MS, claim, expire, nothing, state, sub

NEXT = MESSAGE + 1


def newer(store: LeaseStore, format_: int = FORMAT) -> LeaseStore:
    """The same queue, as the next version of Baton works on it."""
    found = LeaseStore(store.client, store.prefix)
    found._library = library(NEXT, format_)
    return found


def record(store: LeaseStore, task_id: str) -> Record:
    found = store.record(task_id)
    assert found is not None
    return found


def test_a_record_says_its_version(store: LeaseStore) -> None:
    store.submit([sub("a"), sub("b", version=NEXT)])
    assert [record(store, i).version for i in "ab"] == [MESSAGE, NEXT]


def test_a_record_without_a_version_is_of_the_first(store: LeaseStore) -> None:
    store.submit([sub("a")])
    store.client.hdel("{test}:task:a", "version")
    assert record(store, "a").version == 1
    assert claim(store).id == "a"


def test_a_message_from_the_future_is_left_to_a_consumer_that_understands_it(
    store: LeaseStore,
) -> None:
    store.submit([sub("new", version=NEXT, priority=9)])
    assert nothing(store).due_in_ms == -1, "a consumer that is told to come back at once would spin"
    assert state(store, "new") is State.QUEUED
    assert claim(newer(store)).id == "new"


def test_it_is_in_nobodys_way(store: LeaseStore) -> None:
    store.submit([sub("first"), sub("new", version=NEXT, priority=9), sub("last")])
    assert [claim(store, n).id for n in ("n1", "n2")] == ["first", "last"]
    nothing(store)
    store.submit([sub("old")])
    assert [claim(newer(store), n).id for n in ("n3", "n4")] == ["new", "old"]


def test_no_marker_is_left_that_would_make_an_older_consumer_spin(store: LeaseStore) -> None:
    store.submit([sub("new", version=NEXT)])
    store.client.delete("{test}:wake:default")  # as whoever blocks for it takes it
    nothing(store)
    assert not store.client.exists("{test}:wake:default")


def test_it_keeps_its_version_wherever_an_older_program_moves_it(store: LeaseStore) -> None:
    ahead = newer(store)
    store.submit([sub("a", version=NEXT, due_ms=store.now_ms() + 60_000)])
    store.hasten("a")
    nothing(store)
    store.hold("a", "wait")
    store.requeue("a")
    nothing(store)
    claim(ahead)
    expire(store, "a")
    nothing(store)
    store.cancel("a")
    store.requeue("a")
    nothing(store)
    assert claim(ahead, "again").id == "a"


def test_a_lock_that_both_name_is_held_by_one_and_handed_on(store: LeaseStore) -> None:
    ahead = newer(store)
    store.submit([sub("old", lock="repo"), sub("new", lock="repo", version=NEXT)])
    held = claim(store)
    assert held.id == "old"
    assert isinstance(ahead.claim("you", "n", ("default",), LEASE_MS), Nothing)
    store.settle(held, State.SUCCEEDED, outcome="succeeded")
    nothing(store)
    assert claim(ahead, "later", "you").id == "new"


def test_a_retry_that_a_newer_consumer_writes_is_its_own(store: LeaseStore) -> None:
    store.submit([sub("a")])
    ahead = newer(store)
    lease = claim(ahead)
    ahead.settle(lease, State.SCHEDULED, outcome="crashed", body=b"{}")
    nothing(store)
    assert record(store, "a").version == NEXT
    assert claim(ahead, "n2").id == "a"


def test_a_newer_run_is_not_taken_over_by_an_older_consumer(store: LeaseStore) -> None:
    store.submit([sub("a", version=NEXT)])
    lease = claim(newer(store), "n1", "i:h:consumer-1")
    wanted = (lease.id, lease.token, "i:h:consumer-2", "n2", LEASE_MS)
    assert store.adopt(*wanted) is None
    assert isinstance(newer(store).adopt(*wanted), Lease)


def test_what_waits_for_a_newer_baton_is_counted_and_said(store: LeaseStore) -> None:
    assert store.from_newer() == (0, 0)
    store.submit([sub("a"), sub("b", version=NEXT), sub("c", version=NEXT + 1)])
    assert store.from_newer() == (2, NEXT + 1)
    assert store.counts()[State.QUEUED] == 3
    assert {r.id for r in store.page(State.QUEUED)} == {"a", "b", "c"}
    assert f"version {NEXT}" in refusal(NEXT)


def test_a_program_that_runs_when_newer_data_come_stops_working_on_them(store: LeaseStore) -> None:
    store.submit([sub("a")])
    lease = claim(store)
    store.client.hset("{test}:dataset", mapping={"id": "x", "format": FORMAT + 1})
    for call in (
        lambda: store.submit([sub("b")]),
        lambda: store.settle(lease, State.FAILED, outcome="crashed"),
        lambda: store.reap(0),
        lambda: store.submit_all([]) or store.cancel("a"),
    ):
        with pytest.raises(redis.ResponseError, match=r"newer Baton.*upgrade this machine"):
            call()
    assert (state(store, "a"), store.record("b")) == (State.RUNNING, None)
    assert newer(store, FORMAT + 1).settle(lease, State.SUCCEEDED, outcome="succeeded")


def test_data_of_the_first_format_become_data_of_this_one_once(store: LeaseStore) -> None:
    store.submit([sub("a")])
    store.client.hset("{test}:dataset", mapping={"id": "x", "format": 1})
    store.client.delete("{test}:lanes")
    store.client.sadd("{test}:queues", "default")
    assert (store.migrate(), store.migrate()) == (1, FORMAT)
    assert not store.client.exists("{test}:queues")
    assert claim(store).id == "a"
