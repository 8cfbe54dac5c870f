"""What `./baton down --drain` shows while it waits: the tasks that run on this machine, and each as it ends."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from cli import queue
from cli.terminal import age, columns, cut, printable

if TYPE_CHECKING:
    from durable.records import Record
    from durable.views import Views
    from settings import Settings

_LOOK_EVERY_S = 1.0
_MOST = 1000


def for_running_tasks(settings: Settings) -> None:
    """Wait until no task runs on this machine; other machines' tasks are none of a `down`'s business."""
    from durable import identity
    from durable.records import State

    views, home = queue.views(), identity.owner(settings.var, "")
    seen: dict[str, Record] = {}
    while True:
        found = views.page(State.RUNNING, _MOST)
        running = {record.id: record for record in found if record.owner.startswith(home)}
        now_ms = views.now_ms()
        for line in news(seen, running, lambda task_id: _ended(views, task_id), now_ms):
            print(line, flush=True)
        _ticking(running, now_ms)
        if not running:
            return
        seen = running
        time.sleep(_LOOK_EVERY_S)


def news(
    before: dict[str, Record], now: dict[str, Record], ended: Callable[[str], str], now_ms: int
) -> list[str]:
    """Return what to say of the change from one look to the next: who runs at first, then who has ended."""
    if not now and not before:
        return []
    if not before:
        head = f"Waiting for {len(now)} running {_tasks(len(now))} to end; Ctrl-C lets all go on."
        return [head, *(f"  {_line(record, now_ms)}" for record in now.values())]
    gone = [record for task_id, record in before.items() if task_id not in now]
    return [
        f"  {record.id[: queue.SHORT]}  {ended(record.id)} after {_age(record, now_ms)};"
        f" {len(now)} left"
        for record in gone
    ]


def _ended(views: Views, task_id: str) -> str:
    record = views.record(task_id)
    return record.state.value if record else "gone"


def _line(record: Record, now_ms: int) -> str:
    source = printable(record.source or "-")
    return f"{record.id[: queue.SHORT]}  {source}  runs for {_age(record, now_ms)}"


def _age(record: Record, now_ms: int) -> str:
    return age((now_ms - record.started_ms) / 1000) if record.started_ms else "0s"


def _tasks(count: int) -> str:
    return "task" if count == 1 else "tasks"


def _ticking(running: dict[str, Record], now_ms: int) -> None:
    """On a terminal one line that is written over each second, so that a person sees that it goes on."""
    if not sys.stdout.isatty():
        return
    words = "   ".join(f"{r.id[: queue.SHORT]} {_age(r, now_ms)}" for r in running.values())
    print(f"\r\x1b[K{cut(words, columns() - 1).rstrip()}", end="\r", flush=True)
