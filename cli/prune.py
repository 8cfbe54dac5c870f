"""`./baton prune AGE`: removes finished tasks that are older, as the housekeeper does, but now."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from cli import queue
from cli.terminal import age, print_json, wrapped

if TYPE_CHECKING:
    from durable.records import State
    from durable.store import LeaseStore
    from settings import Settings

#: A step of the script is a moment later than we asked for the time, ms.
_MARGIN_MS = 60_000


class Old(NamedTuple):
    """What is to go: the ids by state, all that ended before `until_ms`."""

    ids: dict[State, list[str]]
    until_ms: int
    spared: int
    """So many of that age stay for now, since the files of some are still to be put away."""

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(map(len, self.ids.values()))


def prune(args: argparse.Namespace) -> int:
    """Remove finished tasks that are older than `args.age`, with the folders of their attempts."""
    store, settings = queue.store(), queue.settings()
    old = find(store, settings, int(args.age * 1000))
    removed = [] if args.dry_run else _remove(store, settings, old.until_ms)
    if args.json:
        states = {state.value: ids for state, ids in old.ids.items()}
        print_json({"old": states, "removed": removed, "stay": old.spared})
        return 0
    for line in _said(old, len(removed), age(args.age), dry=args.dry_run):
        print(wrapped(line))
    return 0


def find(store: LeaseStore, settings: Settings, keep_ms: int) -> Old:
    """Return what ended longer ago; not what a watcher of this machine still has in hand, nor what ended later."""
    until_ms = store.now_ms() - keep_ms
    found = store.ended_before(until_ms)
    everything = {task_id for ids in found.values() for task_id in ids}
    if not (awaited := everything & set(_claimed(settings))):
        return Old(found, until_ms, 0)
    ends = [end[1] for end in store.ends(sorted(awaited)) if end]
    until_ms = min([until_ms, *ends]) - _MARGIN_MS
    kept = store.ended_before(until_ms)
    return Old(kept, until_ms, len(everything) - sum(map(len, kept.values())))


def _claimed(settings: Settings) -> Iterable[str]:
    """The tasks whose files are still to be put away: without its record, a watcher would call them failed."""
    from producers.inbox import CLAIMED

    for watcher in settings.watchers.values():
        try:
            yield from os.listdir(watcher.path / os.fsdecode(CLAIMED))
        except OSError:  # nothing was ever dropped there
            continue


def _remove(store: LeaseStore, settings: Settings, until_ms: int) -> list[str]:
    from consumers.housekeeper import remove_older

    removed: list[str] = []
    while step := remove_older(store, settings, store.now_ms() - until_ms):
        removed += step
    return removed


def _said(old: Old, removed: int, span: str, *, dry: bool) -> Iterable[str]:
    counts = ", ".join(f"{len(ids)} {state.value}" for state, ids in old.ids.items() if ids)
    if not old.total:
        yield f"No task ended longer than {span} ago."
    elif dry:
        yield f"Would remove {_tasks(old.total)} that ended longer than {span} ago: {counts}."
    else:
        yield f"Removed {_tasks(removed)} that ended longer than {span} ago: {counts}."
        yield "The folders of their attempts on this machine went along."
    if old.spared:
        yield (
            f"{_tasks(old.spared)} of that age stay until their watcher has put the files away "
            "(./baton status: does it run?)."
        )


def _tasks(count: int) -> str:
    return "1 task" if count == 1 else f"{count} tasks"
