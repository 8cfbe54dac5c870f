"""What attempts cost, from their folders on this host; and pricing the runs whose end nobody saw."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from consumers import bill, handle
from consumers import folder as folders
from consumers.stream import Summary
from durable.costs import Cost, Unpriced, total_usd

if TYPE_CHECKING:
    from durable.store import LeaseStore

log = logging.getLogger(__name__)

_BUDGET = "--max-budget-usd="


def costs_of(folder: Path, summary: Summary | None = None) -> list[Cost]:
    """What the attempt of a folder took of each model; with `summary` where its stream was read already.

    Where a model's price is not known, the most that the attempt was allowed to cost. A run that had no answer
    from the API cost nothing.
    """
    if summary is None:
        summary, _ = folders.read(folder, Summary())
    found = bill.of(summary, _before(folder, summary))
    if found is None:
        most = _allowed_usd(folder)
        log.warning(
            "%s: the price of %s is not known; %.2f USD are booked", folder, summary.model, most
        )
        found = [Cost(model=summary.model or "", usd=most)]
    return found


def price_lost(store: LeaseStore, var: Path, home: str, task_id: str = "") -> None:
    """Price the runs whose end nobody saw and whose folders are here; only those of one task where it is named.

    `home` begins the names of the owners of this instance and host. Raises redis.RedisError.
    """
    for lost in store.unpriced():
        if task_id not in ("", lost.id):
            continue
        costs = _costs_of_lost(var, home, lost)
        if costs is not None:
            store.price(lost.id, lost.attempt, costs)
            words = (lost.id, lost.attempt, total_usd(costs))
            log.info("task %s: attempt %d, whose end nobody saw, cost %.4f USD", *words)


def _costs_of_lost(var: Path, home: str, lost: Unpriced) -> list[Cost] | None:
    """None where this is not known here, or not yet."""
    folder = folders.of(var, lost.id, lost.attempt)
    if folder.parent.name != lost.id or not folder.is_dir():
        ours = lost.owner.rpartition(":")[0] == home
        return [] if ours else None  # it was ours and left no folder: it never began
    run = handle.of(folder)
    if run is not None and run.poll() is None:
        return None  # it is on its way down
    return costs_of(folder)


def _before(folder: Path, summary: Summary) -> Summary | None:
    """The latest earlier attempt of the task in the same session that had a result."""
    if summary.result is None or not folder.name.isdecimal():
        return None
    for number in range(int(folder.name) - 1, 0, -1):
        earlier, _ = folders.read(folder.parent / str(number), Summary())
        if earlier.result is not None and earlier.session_id == summary.session_id:
            return earlier
    return None


def _allowed_usd(folder: Path) -> float:
    """What `--max-budget-usd` said; 0 without it."""
    try:
        argv = json.loads((folder / "command.json").read_bytes())["argv"]
        return float(next(w for w in argv if w.startswith(_BUDGET)).removeprefix(_BUDGET))
    except (OSError, ValueError, KeyError, StopIteration):
        return 0.0
