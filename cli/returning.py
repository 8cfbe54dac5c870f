"""`./baton retry` of a watcher's task: the watcher brings the file back, then the task runs again."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cli.errors import CliError

if TYPE_CHECKING:
    from durable.records import Record, State
    from durable.store import LeaseStore
    from settings import Watcher

_PATIENCE_S = 5.0  # a watcher that runs answers at once
_LOOK_S = 0.05


def bring_back(store: LeaseStore, record: Record, *, resume: bool) -> tuple[State, str, str]:
    """Return the state that the task was found in, the one that it has now, and what became of it, in words.

    Raises CliError for a task that has succeeded, and when its file cannot be brought back.
    """
    import tasks

    watcher = tasks.config.watchers.get(record.source.partition(":")[2])
    found = store.want(record.id, resume=resume)
    if found.value == "succeeded":
        raise CliError(f"Task {record.id} has succeeded{_where(watcher)}.", _ANEW)
    if not found.final:  # somebody else was faster
        return found, found.value, f"is {found.value} already."
    _ring(watcher)
    until = time.monotonic() + _PATIENCE_S
    while record.id in store.wanted(record.source):
        if time.monotonic() > until:
            return (
                found,
                found.value,
                f"(was {found.value}) goes back into the queue as soon as {record.source} has brought its"
                " file back; it has not answered yet (./baton status shows whether it runs).",
            )
        time.sleep(_LOOK_S)
    now = store.record(record.id)
    if now and now.refused:
        raise CliError(f"Task {record.id} cannot be retried: {now.refused}.", _ANEW)
    return found, "queued", f"(was {found.value}) is back in the queue, with its file."


_ANEW = "A file that is dropped into the watched folder again is a new task."


def _where(watcher: Watcher | None) -> str:
    done = watcher.done if watcher else None
    if done == "delete":
        return ", and its file was deleted (done: delete)"
    return f", and its file went to {done}" if isinstance(done, Path) else ""


def _ring(watcher: Watcher | None) -> None:
    """Wake a watcher of this machine; one elsewhere looks by itself every 30 s."""
    if watcher:
        try:
            os.utime(watcher.path)
        except OSError:
            return  # not there, or not ours: it looks by itself
