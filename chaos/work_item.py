"""From an item to a task of Huey's, the same for Baton and for plain Huey."""

from __future__ import annotations

from typing import Any

from chaos.batches import Item


class Stumble(Exception):  # noqa: N818  # it is planned
    """A body fails because its item says so."""


def prepared(work: Any, item: Item, *, ranked: bool = True) -> Any:
    """Huey's task of an item, with what follows it; `work` is the task's wrapper.

    `ranked` gives it its priority, which RedisHuey does not know.
    """
    task = work.s(
        *(item.seconds, item.child),
        retries=item.retries,
        priority=item.priority if ranked else None,
        delay=item.delay_s or None,
    )
    for _ in range(item.chain):
        task = task.then(work, item.seconds / 4)
    return task


def chain_ids(task: Any) -> list[str]:
    """The ids of what follows a task."""
    found = []
    while (task := task.on_complete) is not None:
        found.append(task.id)
    return found
