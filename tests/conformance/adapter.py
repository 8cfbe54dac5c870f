"""Our Huey as Huey's own tests drive it: they take a message out and execute it by hand, where a consumer leases it.

Nothing here replaces what is tested: a `dequeue` claims, an `execute` settles. What was promised otherwise than Huey
does (results stay, a cancelled task says so) is seen here through Huey's eyes, so that the rest of each test counts.
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import redis
from huey.constants import EmptyData

from durable import effects
from durable.queue import BatonHuey
from durable.records import Lease, State
from durable.settlement import settlement_of
from durable.storage import LeaseStorage

LEASE_MS = 60_000


def empty_server() -> redis.Redis:
    """A client for an empty server: conftest.py puts the one that the test is for in this place."""
    raise NotImplementedError


class ByHandStorage(LeaseStorage):
    """A message that is taken out is claimed, and settled at once: nobody would do it later."""

    def claim(self) -> Lease | None:
        found = self.store.claim("conformance", uuid.uuid4().hex, ["default"], LEASE_MS)
        return found if isinstance(found, Lease) else None

    def dequeue(self) -> bytes | None:
        lease = self.claim()
        if lease is None:
            return None
        self.store.settle(lease, State.CANCELLED, outcome="taken")
        return lease.body

    def result_store_size(self) -> int:
        return len(self.result_items())

    def result_items(self) -> dict[str, bytes]:
        read = self.client.smembers("read")
        return {k: v for k, v in super().result_items().items() if k.encode() not in read}

    def mark_read(self, key: str) -> None:
        """Huey removes what its handles have read."""
        if super().peek_data(key) is not EmptyData:
            self.client.sadd("read", key)

    @property
    def _counters(self) -> dict[str, str]:
        """What is left of chords: where Huey counts, we keep each one's values."""
        return dict.fromkeys(map(str, self.client.scan_iter("*:chord*")), "")

    def flush_results(self) -> None:
        for name in super().result_items():
            self.delete_data(name)
            self.client.sadd("read", name)

    def flush_all(self) -> None:
        for flush in (self.flush_queue, self.flush_schedule, self.flush_results):
            flush()
        self.flush_counters()


class ByHandHuey(BatonHuey):
    """BatonHuey with a `dequeue` that claims and an `execute` that settles."""

    storage_class = ByHandStorage

    def __init__(self, name: str = "conformance", **kwargs: Any) -> None:
        plain = {"utc": False, "store_none": False, "store_intermediate_errors": True}
        super().__init__(name, **{**plain, "client": empty_server(), **kwargs})
        self._leases: dict[str, Lease] = {}

    def dequeue(self) -> Any:
        lease = self.storage.claim()
        if lease is None:
            return None
        task = self.deserialize_task(lease.body)
        self._leases[task.id] = lease
        return task

    def execute(self, task: Any, timestamp: dt.datetime | None = None) -> Any:
        lease = self._leases.pop(task.id, None)
        if lease is None:  # one that was made, or executed before, by hand
            return super().execute(task, timestamp)
        running = effects.begin(lease)
        try:
            value = super().execute(task, timestamp)
        finally:
            effects.end()
        settlement_of(running).settle(self.store)
        self.storage.client.srem("read", task.id)  # what it has written now
        return value

    def pending(self, limit: int | None = None) -> list[Any]:
        """Tasks with a time too: Huey's stand in its queue until a worker sees them."""
        return [*super().pending(limit), *super().scheduled(limit)]

    def get_raw(self, key: str, peek: bool = False) -> Any:
        """As Huey's for a task that was revoked or expired: nothing."""
        if isinstance(self.storage, LeaseStorage):
            record = self.store.record(key)
            if record is not None and record.state is State.CANCELLED:
                return EmptyData
            if peek:  # as our handles do
                self.storage.mark_read(key)
        return super().get_raw(key, peek)
