"""Runs that go on without their consumer: whose they were, whether that one has gone, and taking them over.

A run belongs to its attempt. Its runner lives for 15 s after the last word of a consumer, which is the time
in which the restarted consumer, or an idle one of the same instance and host, has to speak.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from consumers import folder as folders
from consumers import grip, handle, leftovers
from consumers.heartbeat import boot_clock
from consumers.times import LEASE_MS
from durable.records import Holding, Lease
from durable.store import LeaseStore

if TYPE_CHECKING:
    from settings import Settings

log = logging.getLogger(__name__)

#: Between two looks for runs whose consumer has gone, s.
LOOK_EVERY_S = 2.0


class Adoption:
    """What one consumer takes over. Used by its worker's thread only, after `take_own`."""

    def __init__(self, settings: Settings, store: LeaseStore, owner: str) -> None:
        self.settings, self.store, self.owner = settings, store, owner
        self._home, _, self._name = owner.rpartition(":")
        self._own: list[Lease] = []
        self._run: grip.Grip | None = None
        self._taken: set[int] = set()
        self._look_at = 0.0
        #: When `take_own` asked for the leases that `take` gives (`boot_clock`).
        self.asked_at = boot_clock()

    def take_own(self) -> None:
        """Adopt the run that a former copy of this consumer left; give back what cannot go on.

        Only the holder of the owner's flock may call this: then the former copy is known to be gone.
        Raises redis.RedisError.
        """
        self._own.clear()  # of a try that Redis broke off: the tokens have changed since
        self.asked_at = boot_clock()
        for holding in self.store.held_by(self.owner):
            if not self._can_go_on(holding):
                leftovers.give_back(self.settings.var, self.store, holding)
            elif (lease := self._adopt(holding)) is not None:  # else another consumer was faster
                self._own.append(lease)

    def hold_on(self) -> None:
        """Keep the run of a former copy alive while Redis, which knows of it, is away. Not with a remote one:
        there only a confirmed beat may hold a run."""
        if self._run is None and self.settings.redis.url.startswith("unix:"):
            self._run = grip.read(self.settings.var, self._name)
        if self._run is not None:
            run, token = self._run
            run.hold(token)

    def has_taken(self, lease: Lease) -> bool:
        """Whether this lease came with a run that lives: giving it back would let another start beside it."""
        return lease.token in self._taken

    def take(self) -> Lease | None:
        """The run of a former copy of this consumer, once."""
        return self._own.pop() if self._own else None

    def orphan(self) -> Lease | None:
        """A run whose consumer has gone; looks at most every 2 s. Raises redis.RedisError."""
        if time.monotonic() < self._look_at:
            return None
        self._look_at = time.monotonic() + LOOK_EVERY_S
        gone = self._gone()
        if not gone:
            return None
        others = self.store.held_by(f"{self._home}:", beginning=True)
        orphans = (h for h in others if h.owner in gone and self._can_go_on(h))
        return next((lease for h in orphans if (lease := self._adopt(h))), None)

    def _can_go_on(self, holding: Holding) -> bool:
        """Whether a runner has it: a Python task ends with its process."""
        folder = folders.of(self.settings.var, holding.id, holding.attempt)
        return holding.kind == "claude" and handle.began_here(folder)

    def _adopt(self, holding: Holding) -> Lease | None:
        nonce = uuid.uuid4().hex
        lease = self.store.adopt(holding.id, holding.token, self.owner, nonce, LEASE_MS)
        if lease is not None:
            self._taken.add(lease.token)
            log.info(
                "task %s: attempt %d of %s is taken over", lease.id, lease.attempt, holding.owner
            )
        return lease

    def _gone(self) -> set[str]:
        """The owners of this instance and host whose flock is free."""
        locks = (self.settings.var / "locks").glob(f"{self.settings.instance}-consumer-*.lock")
        names = {path.stem.removeprefix(f"{self.settings.instance}-"): path for path in locks}
        names.pop(self._name, None)
        return {f"{self._home}:{name}" for name, path in names.items() if _is_free(path)}


def _is_free(path: Path) -> bool:
    """Whether nobody holds this flock now."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(fd)
