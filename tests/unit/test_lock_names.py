"""Tasks that name a lock: one runs at a time, the others keep their order and cost a claim nothing."""

from collections.abc import Callable

import pytest

from durable.records import Lease, Nothing, State, Submission
from durable.store import LeaseStore
from tests.unit.leasing import LEASE_MS, claim, expire, nothing, state, sub


def locked(*ids: str, lock: str = "repo") -> list[Submission]:
    return [sub(i, lock=lock) for i in ids]


def test_one_task_of_a_lock_runs_and_the_next_follows_in_order(store: LeaseStore) -> None:
    store.submit([*locked("a", "b", "c"), sub("free")])
    first = claim(store, "1")
    assert first.id == "a"
    assert store.lock_holder("repo") == "a"
    assert claim(store, "2").id == "free"
    nothing(store)
    store.settle(first, State.SUCCEEDED, outcome="succeeded")
    second = claim(store, "3")
    assert second.id == "b"
    store.settle(second, State.FAILED, outcome="crashed")
    assert claim(store, "4").id == "c"


def test_different_locks_do_not_know_each_other(store: LeaseStore) -> None:
    store.submit([*locked("a"), *locked("b", lock="other")])
    assert [claim(store, n).id for n in "12"] == ["a", "b"]


def test_priority_decides_who_is_next(store: LeaseStore) -> None:
    store.submit([*locked("a", "b"), sub("urgent", lock="repo", priority=5)])
    first = claim(store, "1")
    assert first.id == "urgent"
    store.submit([sub("later but urgent", lock="repo", priority=7)])
    store.settle(first, State.SUCCEEDED, outcome="succeeded")
    assert claim(store, "2").id == "later but urgent"


ENDS: dict[str, Callable[[LeaseStore, Lease], object]] = {
    "settle": lambda store, lease: store.settle(lease, State.SUCCEEDED, outcome="succeeded"),
    "retry": lambda store, lease: store.settle(
        lease, State.SCHEDULED, outcome="crashed", retry_ms=60_000
    ),
    "held": lambda store, lease: store.settle(lease, State.HELD, outcome="crashed"),
    "release for later": lambda store, lease: store.release(
        lease.id, lease.token, outcome="interrupted", reason="", delay_ms=60_000
    ),
    "cancelled": lambda store, lease: (
        store.cancel(lease.id),
        store.release(lease.id, lease.token, outcome="cancelled", reason=""),
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_every_end_of_a_lease_lets_the_next_in(store: LeaseStore, end: str) -> None:
    store.submit(locked("a", "b"))
    lease = claim(store, "1")
    store.client.delete("{test}:wake:default")
    ENDS[end](store, lease)
    assert store.client.zcard("{test}:wake:default") == 1
    assert claim(store, "2").id == "b"
    assert store.lock_holder("repo") == "b"


@pytest.mark.parametrize("end", ["release", "reap", "retry"])
def test_a_task_that_goes_to_the_head_is_the_next_of_its_lock(store: LeaseStore, end: str) -> None:
    store.submit(locked("a", "b"))
    lease = claim(store, "1")
    if end == "release":
        store.release(lease.id, lease.token, outcome="interrupted", reason="")
    elif end == "reap":
        expire(store, "a")
    else:
        store.settle(lease, State.SCHEDULED, outcome="crashed", retry_ms=0)
    assert claim(store, "2").id == ("b" if end == "retry" else "a")
    nothing(store)


def test_the_lock_of_an_adopted_run_stays_with_it(store: LeaseStore) -> None:
    store.submit(locked("a", "b"))
    first = claim(store, "1", "i:h:consumer-1")
    second = store.adopt("a", first.token, "i:h:consumer-2", "n", LEASE_MS)
    assert second is not None
    store.settle(first, State.SUCCEEDED, outcome="succeeded")  # stale
    nothing(store)
    store.settle(second, State.SUCCEEDED, outcome="succeeded")
    assert claim(store, "2").id == "b"


def test_people_may_take_a_waiting_task_out_of_the_line(store: LeaseStore) -> None:
    store.submit(locked("a", "b", "c", "d"))
    lease = claim(store, "1")
    store.cancel("b")
    store.hold("c", "not now")
    store.settle(lease, State.SUCCEEDED, outcome="succeeded")
    assert claim(store, "2").id == "d"
    store.requeue("c")
    nothing(store)


def test_the_one_that_stands_ready_may_be_taken_out_too(store: LeaseStore) -> None:
    store.submit(locked("a", "b", "c"))
    store.cancel("a")
    store.hasten("c")
    assert claim(store, "1").id == "c"
    nothing(store)


def test_the_next_stands_ready_when_a_person_takes_the_first_away(store: LeaseStore) -> None:
    store.submit(locked("a", "b"))
    store.cancel("a")
    assert claim(store, "1").id == "b"


def test_a_lock_that_a_foreign_hand_gave_to_nobody_is_free(store: LeaseStore) -> None:
    store.client.hset("{test}:locks", "repo", "a ghost")
    store.submit(locked("a"))
    assert claim(store, "1").id == "a"


def test_a_lock_holds_across_queues_and_kinds(store: LeaseStore) -> None:
    store.submit([sub("a", lock="repo"), sub("g", lock="repo", queue="gpu")])
    store.submit([sub("c", lock="repo", kind="claude")])
    lease = claim(store, "1")
    assert lease.id == "a"
    assert isinstance(store.claim("gpu", "n", ("gpu",), LEASE_MS), Nothing)
    nothing(store)
    store.settle(lease, State.SUCCEEDED, outcome="succeeded")
    assert isinstance(store.claim("gpu", "n2", ("gpu",), LEASE_MS), Lease)
    nothing(store)


def test_a_queue_that_nobody_serves_blocks_no_other(store: LeaseStore) -> None:
    store.submit([sub("nobody", lock="repo", queue="unserved"), sub("b", lock="repo")])
    store.close_gate("claude:default", "usage limit", by="t", why="spent")
    store.submit([sub("gated", lock="repo", kind="claude", priority=9)])
    assert claim(store, "1").id == "b"


def test_waiting_tasks_are_counted_and_listed_in_their_order(store: LeaseStore) -> None:
    store.submit([*locked("a", "b"), sub("free"), *locked("c")])
    claim(store, "1")
    assert store.counts()[State.QUEUED] == 3
    assert [r.id for r in store.page(State.QUEUED)] == ["b", "free", "c"]
    assert state(store, "b") is State.QUEUED


def test_many_waiting_tasks_cost_a_claim_nothing(store: LeaseStore) -> None:
    store.submit([sub(f"w{n}", lock="repo") for n in range(300)] + [sub("free", priority=-5)])
    claim(store, "1")
    assert store.client.zcard("{test}:ready:default:python") == 1
    assert claim(store, "2").id == "free"


def test_a_lock_whose_holder_is_gone_is_nobody_s(store: LeaseStore) -> None:
    store.submit(locked("a", "b"))
    claim(store, "1")
    store.client.zrem("{test}:leases", "a")  # a foreign hand
    store.reconcile()
    assert claim(store, "2").id == "a"
    nothing(store)


def test_those_who_wait_for_a_lock_that_nobody_holds_are_let_in(store: LeaseStore) -> None:
    store.submit(locked("a", "b"))
    lease = claim(store, "1")
    store.client.hdel("{test}:locks", "repo")  # a foreign hand
    store.settle(lease, State.SUCCEEDED, outcome="succeeded")
    nothing(store)
    store.reconcile()
    assert claim(store, "2").id == "b"
