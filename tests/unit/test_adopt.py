"""Adoption in the queue: a run goes on under another owner of the same instance and host, once."""

import pytest

from durable.records import Lease, State
from durable.store import LeaseStore
from tests.unit.leasing import LEASE_MS, claim, expire, state, sub

GONE, HERE, BESIDE = "i:h:consumer-1", "i:h:consumer-1", "i:h:consumer-2"


@pytest.fixture
def lease(store: LeaseStore) -> Lease:
    """A lease whose owner has gone."""
    store.submit([sub("a", lock="repo")])
    return claim(store, "n1", GONE)


def adopt(store: LeaseStore, lease: Lease, owner: str = BESIDE, nonce: str = "n") -> Lease | None:
    return store.adopt(lease.id, lease.token, owner, nonce, LEASE_MS)


@pytest.mark.parametrize("owner", [HERE, BESIDE])
def test_the_same_attempt_goes_on_under_a_new_token(
    store: LeaseStore, lease: Lease, owner: str
) -> None:
    found = adopt(store, lease, owner)
    assert found is not None
    assert (found.id, found.attempt, found.counted, found.body) == ("a", 1, 0, lease.body)
    assert found.token > lease.token
    assert not store.settle(lease, State.FAILED, outcome="crashed")
    assert store.beat([("a", lease.token), ("a", found.token)], LEASE_MS) == ["lost", "ok"]
    assert store.settle(found, State.SUCCEEDED, outcome="succeeded")
    record = store.record("a")
    assert record is not None
    assert record.owner == owner


def test_of_several_one_wins(store: LeaseStore, lease: Lease) -> None:
    assert adopt(store, lease) is not None
    assert adopt(store, lease, HERE) is None


def test_a_repeat_gets_the_same_answer_until_the_lease_ends(
    store: LeaseStore, lease: Lease
) -> None:
    first = adopt(store, lease)
    assert adopt(store, lease) == first
    assert first is not None
    store.settle(first, State.SUCCEEDED, outcome="succeeded")
    assert adopt(store, lease) is None


@pytest.mark.parametrize("owner", ["i:other-host:consumer-2", "other:h:consumer-2", "consumer-2"])
def test_nobody_from_elsewhere_may(store: LeaseStore, lease: Lease, owner: str) -> None:
    assert adopt(store, lease, owner) is None
    assert store.beat([("a", lease.token)], LEASE_MS) == ["ok"]


def test_what_was_given_on_cannot_be_adopted(store: LeaseStore, lease: Lease) -> None:
    expire(store, "a")
    assert adopt(store, lease) is None
    claim(store, "n2", "i:h:consumer-3")
    assert adopt(store, lease) is None
    assert store.adopt("missing", 1, BESIDE, "n", LEASE_MS) is None


def test_adoption_ends_a_suspicion(store: LeaseStore, lease: Lease) -> None:
    store.client.zadd("{test}:leases", {"a": 1})
    store.reap(60_000)
    assert adopt(store, lease) is not None
    store.client.zadd("{test}:leases", {"a": 1})
    assert store.reap(60_000) == [("a", "suspected")]
    assert state(store, "a") is State.RUNNING


def test_the_right_to_probe_goes_along(store: LeaseStore) -> None:
    store.submit([sub("c", kind="claude")])
    store.close_gate("claude:default", "usage limit", by="t", why="", until_ms=store.now_ms() - 1)
    first = claim(store, "n1", GONE)
    found = adopt(store, first)
    assert found is not None
    assert found.probe
    assert (store.alive(first), store.alive(found)) == (0, 1)
