"""A consumer's turn, by hand: lease the next task, run it, settle it."""

from __future__ import annotations

import uuid

from durable.queue import BatonHuey
from durable.records import Lease


def take(huey: BatonHuey) -> Lease:
    """Lease the next task, which there must be."""
    lease = huey.store.claim("me", uuid.uuid4().hex, ("default",), 30_000)
    assert isinstance(lease, Lease)
    return lease


def run_one(huey: BatonHuey) -> str | None:
    """Lease and run the next task as a consumer does; its id, None when nothing is ready."""
    lease = huey.store.claim("me", uuid.uuid4().hex, ("default",), 30_000)
    if not isinstance(lease, Lease):
        return None
    huey.attempt(lease).settle(huey.store)
    return lease.id


def drain(huey: BatonHuey) -> int:
    """Run tasks until none is ready; how many."""
    done = 0
    while run_one(huey):
        done += 1
    return done
