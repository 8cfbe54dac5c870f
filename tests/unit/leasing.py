"""What the tests of the queue's scripts share: a submission, a lease, a state."""

from typing import Any

from durable.records import Lease, Nothing, State, Submission
from durable.store import LeaseStore

QUEUES = ("default",)
LEASE_MS = 30_000


def sub(task_id: str, **fields: Any) -> Submission:
    """A submission with a body."""
    return Submission(id=task_id, body=b"{}", **fields)


def claim(store: LeaseStore, nonce: str = "n", owner: str = "me", **more: Any) -> Lease:
    """A lease; there must be one."""
    found = store.claim(owner, nonce, QUEUES, LEASE_MS, **more)
    assert isinstance(found, Lease)
    return found


def nothing(store: LeaseStore, nonce: str = "none", owner: str = "me", **more: Any) -> Nothing:
    """What a claim says that must find no task."""
    found = store.claim(owner, nonce, QUEUES, LEASE_MS, **more)
    assert isinstance(found, Nothing)
    return found


def state(store: LeaseStore, task_id: str) -> State:
    """Where the task stands."""
    record = store.record(task_id)
    assert record is not None
    return record.state


def expire(store: LeaseStore, task_id: str) -> None:
    """The lease is over, by hand: no test waits 30 s. It is reaped at once."""
    for word in ("suspected", "requeued"):
        store.client.zadd(f"{store.prefix}leases", {task_id: 1})
        assert store.reap(0) == [(task_id, word)]
