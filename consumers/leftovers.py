"""Ends what an earlier attempt left running on this host: by its runner, else by the mark in its environment."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from consumers import booking, handle, processes
from consumers import folder as folders
from durable.records import Holding
from durable.store import LeaseStore

log = logging.getLogger(__name__)

#: The whole ladder and some more, s: how long a runner that was told to stop may take.
LADDER_S = 15.0


def give_back(var: Path, store: LeaseStore, holding: Holding) -> None:
    """End what runs of it, and send the task to the head of its queue, uncounted. Raises redis.RedisError.

    Only for a lease whose owner is known to be gone.
    """
    end_runs(var, holding.id, holding.token)
    costs = booking.costs_of(folders.of(var, holding.id, holding.attempt))
    store.release(
        holding.id,
        holding.token,
        outcome="interrupted",
        reason="its consumer ended before the attempt did",
        costs=costs,
    )
    log.info("task %s: attempt %d is given back, uncounted", holding.id, holding.attempt)


def end_runs(var: Path, task_id: str, token: int) -> int:
    """Stop every live attempt of a task on this host; how many processes had to be killed by hand.

    `token` is that of the task's newest lease: a run that was taken over obeys no older one.
    """
    for attempt in sorted((var / "attempts" / task_id).glob("[0-9]*")):
        for folder in (attempt, attempt / folders.CHECK):
            live = handle.attach(folder)
            if live is not None:
                live.stop(token, "lost")
                live.wait(LADDER_S)
    return processes.sweep_attempt(task_id, time.monotonic() + LADDER_S)
