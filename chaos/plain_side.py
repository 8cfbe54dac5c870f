"""How a producer fills plain Huey's queue: the same items, by Huey's own face."""

from __future__ import annotations

import os
from collections.abc import Callable

from chaos import acks, plain
from chaos.batches import batch
from chaos.patience import until_answered
from chaos.work_item import chain_ids, prepared
from consumers.times import LEASE_MS


class PlainSide:
    """One producer's way into the queue."""

    def __init__(self, name: str, seed: int) -> None:
        self.name, self.seed = name, seed
        self.file = plain.FOLDER / f"acks-{name}.log"
        self._count = 0

    def backlog(self) -> int:
        """Tasks that are ready or wait for a time."""
        storage = plain.huey.storage
        return int(storage.queue_size()) + int(storage.schedule_size())

    def ways(self) -> list[Callable[[], None]]:
        """There is one."""
        return [self._by_huey]

    def _by_huey(self) -> None:
        self._count += 1
        name = f"{self.name}-{os.getpid()}"
        for item in batch(self.seed, name, self._count, LEASE_MS / 1000):
            task = prepared(plain.work, item, ranked=False)
            until_answered(lambda task=task: plain.huey.enqueue(task))  # type: ignore[misc]
            acks.write(
                self.file, acks.Ack([acks.Promise(id=i) for i in (task.id, *chain_ids(task))])
            )
