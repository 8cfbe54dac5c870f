"""What bodies share: named locks that know their holder, and limits per window of the server's clock."""

from __future__ import annotations

import threading
import uuid
from typing import Any

from huey.api import RateLimit, TaskLock
from huey.constants import EmptyData
from huey.exceptions import RateLimitExceeded, TaskLockedException

from durable import effects
from durable.storage import LeaseStorage


class _Tokens(threading.local):
    """What this thread holds of one lock: at most one at a time, unless the time of an earlier one ran out."""

    def __init__(self) -> None:
        self.held: list[bytes] = []


class OwnedLock(TaskLock):
    """Huey's lock with a token: one whose `ttl` (s) ran out does not take the next holder's away.

    Taken inside a task, it falls free with the task's lease, so that a killed consumer leaves none behind.
    """

    def __init__(self, huey: Any, name: str, ttl: float | None = None) -> None:
        super().__init__(huey, name, ttl)
        self._tokens = _Tokens()

    def acquire(self) -> bool:
        """Take the lock; raises TaskLockedException while somebody else holds it."""
        token = uuid.uuid4().hex.encode()
        if not self._take(token):
            raise TaskLockedException(f"unable to acquire lock {self._name}")
        self._tokens.held.append(token)
        return True

    def _take(self, token: bytes) -> bool:
        storage = self._huey.storage
        if not isinstance(storage, LeaseStorage):
            return bool(storage.put_if_empty(self._key, token, self._ttl))
        running = effects.current()
        ttl_ms = None if self._ttl is None else max(1, int(self._ttl * 1000))
        return storage.store.lock(self._key, token, ttl_ms, running.lease if running else None)

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> bool:
        """Let go of what this thread took; False when that was no longer held. Without a token, as `clear`."""
        if not self._tokens.held:
            return self.clear()
        token = self._tokens.held.pop()
        storage = self._huey.storage
        if isinstance(storage, LeaseStorage):
            return storage.store.unlock(self._key, token)
        return storage.peek_data(self._key) == token and self.clear()

    def clear(self) -> bool:
        """Take the lock away, whoever holds it."""
        return self._huey.storage.pop_data(self._key) is not EmptyData


class ServerRateLimit(RateLimit):
    """Huey's limit of so many per window, counted in one step of the server, by its clock."""

    def acquire(self) -> None:
        """Count one more; raises RateLimitExceeded, with the seconds to wait, when the window is full."""
        storage = self._huey.storage
        if not isinstance(storage, LeaseStorage):
            super().acquire()
            return
        count, left_ms = storage.store.rate(self._name, int(self._per * 1000))
        if count > self._limit:
            raise RateLimitExceeded(self._name, left_ms / 1000, retry=self._retry)

    def reset(self) -> None:
        """Begin the window anew."""
        storage = self._huey.storage
        if isinstance(storage, LeaseStorage):
            storage.store.reset_rate(self._name)
        else:
            super().reset()

    def current_usage(self) -> int:
        """How many were counted in the latest window, refused ones included."""
        storage = self._huey.storage
        if isinstance(storage, LeaseStorage):
            return storage.store.rate_count(self._name)
        return int(super().current_usage())
