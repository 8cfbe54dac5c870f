"""Until when a body may go on: what the lease in Redis says, on this machine's own clock."""

from __future__ import annotations

import contextlib

import redis

from chaos.body import now_ns
from chaos.patience import until_answered
from durable.records import Lease
from durable.store import LeaseStore

_MS = 1_000_000


class Fence:
    """Reads the lease and never extends it: the consumer's heartbeat must. A plain body does not need one;
    this one must not overlap with its successor even when its process was stopped for longer than its lease.
    """

    def __init__(self, store: LeaseStore, lease: Lease, lease_ms: int) -> None:
        self._store, self._lease = store, lease
        self._renew_ns = lease_ms * _MS // 2
        self.lost = False  # for certain: another has the task, or may have it at any moment
        self._until_ns = until_answered(self._ask)

    def allows(self, moment_ns: int) -> bool:
        """Whether no other owner can have the task at this moment."""
        if not self.lost and self._until_ns - moment_ns < self._renew_ns:
            with contextlib.suppress(redis.RedisError):  # what is known already holds on
                self._until_ns = max(self._until_ns, self._ask())
        return not self.lost and moment_ns < self._until_ns

    def _ask(self) -> int:
        """When the lease ends; 0 when it is not ours. Counted from before the question: never too late."""
        sent_ns = now_ns()
        pipe = self._store.client.pipeline(transaction=True)
        pipe.hget(f"{self._store.prefix}task:{self._lease.id}", "token")
        pipe.zscore(f"{self._store.prefix}leases", self._lease.id)
        pipe.time()
        token, deadline_ms, (seconds, micros) = pipe.execute()
        if deadline_ms is None or token != str(self._lease.token).encode():
            self.lost = True
            return 0
        left_ns = int(deadline_ms) * _MS - (seconds * 1_000_000 + micros) * 1000
        return int(sent_ns + left_ns)
