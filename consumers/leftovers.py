"""Ends what an earlier attempt left running on this host: by its runner, else by the mark in its environment."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

from consumers import handle, processes
from durable.store import LeaseStore

if TYPE_CHECKING:
    from settings import Settings

log = logging.getLogger(__name__)

#: The whole ladder and some more, s: how long a runner that was told to stop may take.
LADDER_S = 15.0


def take_back(settings: Settings, store: LeaseStore, owner: str) -> int:
    """Give back the leases that a former copy of this consumer held; how many.

    Only the holder of the owner's flock may call this: then the former copy is known to be gone.
    Raises redis.RedisError.
    """
    mine = store.left_by(owner)
    for task_id, token, attempt, _run in mine:
        end_runs(settings.var, task_id)
        store.release(
            task_id,
            token,
            outcome="interrupted",
            reason="its consumer ended before the attempt did",
            unpriced=True,
        )
        log.info("task %s: attempt %d of a former run is given back, uncounted", task_id, attempt)
    return len(mine)


def end_runs(var: Path, task_id: str) -> int:
    """Stop every live attempt of a task on this host; how many processes had to be killed by hand."""
    for folder in sorted((var / "attempts" / task_id).glob("[0-9]*")):
        live = handle.attach(folder)
        if live is not None:
            live.stop(live.token, "lost")
            live.wait(LADDER_S)
    return processes.sweep(lambda: processes.marked(task_id), time.monotonic() + LADDER_S)
