"""What a beat says about the leases in hand, and from when on each of them holds."""

from consumers.heartbeat import Heartbeat
from durable.store import LeaseStore
from tests.unit.leasing import LEASE_MS, claim, sub


class Clock:
    """A clock that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_lease_holds_from_the_sending_of_the_newest_word_that_was_answered(
    store: LeaseStore,
) -> None:
    clock = Clock()
    heartbeat = Heartbeat(store, "me", clock)
    store.submit([sub("a"), sub("b")])
    mine, other = claim(store, "n", "me"), claim(store, "m", "me")
    held = heartbeat.hold(mine, asked_at=90.0)
    lost = heartbeat.hold(other)
    assert (held.confirmed_at, lost.confirmed_at) == (90.0, 100.0)
    assert store.release(other.id, other.token, outcome="interrupted", reason="")
    clock.now = 105.0
    heartbeat.beat()
    assert (held.confirmed_at, held.lost) == (105.0, False)
    assert (lost.confirmed_at, lost.lost) == (100.0, True)
    assert store.beat([(mine.id, mine.token)], LEASE_MS) == ["ok"]


def test_a_cancel_is_passed_on_and_the_lease_goes_on(store: LeaseStore) -> None:
    clock = Clock()
    heartbeat = Heartbeat(store, "me", clock)
    store.submit([sub("a")])
    held = heartbeat.hold(claim(store, "n", "me"))
    store.cancel("a")
    clock.now = 101.0
    heartbeat.beat()
    assert (held.cancelled, held.lost, held.confirmed_at) == (True, False, 101.0)
