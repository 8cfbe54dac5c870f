"""The thread that keeps a consumer's leases alive, and hears what became of them (cancelled, lost)."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

import redis

from consumers.times import BEAT_S, LEASE_MS
from durable.patience import Patience
from durable.records import Lease
from durable.store import LeaseStore

log = logging.getLogger(__name__)

#: After a poke: so many more beats, so many seconds apart.
SOON_BEATS, SOON_S = 4, 0.25


def boot_clock() -> float:
    """Seconds since the boot, time asleep included where the system counts it."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Held:
    """One lease in hand, and what its attempt must know."""

    def __init__(self, lease: Lease, confirmed_at: float) -> None:
        self.lease = lease
        #: When the newest claim or beat that the server answered was sent (`boot_clock`): it holds from then on.
        self.confirmed_at = confirmed_at
        self.cancelled = self.lost = False  # looked at again and again, never waited for


class Heartbeat(threading.Thread):
    """Beats every 5 s, and at once when somebody pokes the owner. Never touches a worker's connection."""

    def __init__(
        self, store: LeaseStore, owner: str, now: Callable[[], float] = boot_clock
    ) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self.store, self.owner, self._now = store, owner, now
        self._held: dict[str, Held] = {}
        self._lock = threading.Lock()
        self._stop_asked = threading.Event()
        self.redis = Patience("Redis", log)  # the whole consumer's: it is away for all threads

    def hold(self, lease: Lease, asked_at: float | None = None) -> Held:
        """Beat for this lease from now on; `asked_at` is when its claim was sent (`boot_clock`), now if not given."""
        held = Held(lease, self._now() if asked_at is None else asked_at)
        with self._lock:
            self._held[lease.id] = held
        return held

    def let_go(self, lease: Lease) -> None:
        """Beat for it no longer."""
        with self._lock:
            self._held.pop(lease.id, None)

    def in_hand(self) -> list[Held]:
        """The leases that are beaten for now."""
        with self._lock:
            return list(self._held.values())

    def stop(self) -> None:
        """End after the current wait, of at most 5 s; nobody needs to join a daemon thread."""
        self._stop_asked.set()

    def run(self) -> None:
        """Beat until stopped; an absent server is waited for.

        A poke may be about a lease whose claim is still on its way to this process: so for a second after
        one it beats oftener.
        """
        soon = 0
        while not self._stop_asked.is_set():
            asked_at = time.monotonic()
            try:
                poked = self.store.wait_for_poke(self.owner, SOON_S if soon else BEAT_S)
                soon = SOON_BEATS if poked else max(0, soon - 1)
                self.beat()
                self.redis.worked(asked_at)
            except redis.RedisError as error:
                self.redis.failed(time.monotonic(), error)
                self._stop_asked.wait(1.0)

    def beat(self) -> None:
        """Extend all leases in hand and pass on what the server says about each."""
        mine, sent = self.in_hand(), self._now()
        if mine:
            words = self.store.beat([(h.lease.id, h.lease.token) for h in mine], LEASE_MS)
            for held, word in zip(mine, words, strict=True):
                if held in self.in_hand():  # else its end was written meanwhile
                    _pass_on(held, word, sent)


def _pass_on(held: Held, word: str, sent: float) -> None:
    if word == "lost":
        log.warning("task %s: the lease was given on; its attempt is stopped", held.lease.id)
        held.lost = True
        return
    held.confirmed_at = sent
    held.cancelled = held.cancelled or word == "cancel"
