"""The heartbeat hears a cancel, also one that comes before its lease is in hand."""

import time

import pytest

from consumers.heartbeat import Heartbeat
from durable.records import Lease, Submission
from durable.store import LeaseStore
from tests.conftest import PrivateServer, wait_until


def poked(store: LeaseStore, owner: str) -> bool:
    """Whether a poke waits that the owner has not taken yet."""
    return bool(store.client.exists(f"{store.prefix}poke:{owner}"))


def test_a_cancel_that_comes_before_the_lease_is_in_hand_is_heard_soon(
    valkey: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claim is written on the server, its answer still on the way: a poke finds nothing in hand."""
    monkeypatch.setattr("consumers.heartbeat.BEAT_S", 14.0)  # only a poke can bring one sooner
    store = LeaseStore(valkey.client(), "{test}:")
    heartbeat = Heartbeat(LeaseStore(valkey.client(), "{test}:"), "i:h:consumer-1")
    store.submit([Submission(id="a", body=b"{}")])
    lease = store.claim("i:h:consumer-1", "n", ["default"], 30_000)
    assert isinstance(lease, Lease)
    heartbeat.start()
    store.cancel("a")
    wait_until(lambda: not poked(store, "i:h:consumer-1"), 10, "the poke is taken")
    begun = time.monotonic()
    held = heartbeat.hold(lease)
    wait_until(lambda: held.cancelled, 11, "the cancel is heard before a beat is due")
    print(f"heard after {time.monotonic() - begun:.2f} s")
    heartbeat.stop()


def test_who_takes_over_a_cancelled_run_is_told_at_once(store: LeaseStore) -> None:
    store.submit([Submission(id="a", body=b"{}")])
    lease = store.claim("i:h:consumer-1", "n", ["default"], 30_000)
    assert isinstance(lease, Lease)
    store.cancel("a")
    assert not poked(store, "i:h:consumer-2")
    assert store.adopt("a", lease.token, "i:h:consumer-2", "m", 30_000)
    assert poked(store, "i:h:consumer-2")
