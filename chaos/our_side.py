"""How a producer fills Baton's queue: every way in that there is."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from itertools import pairwise

import redis

from chaos import acks, work
from chaos.batches import Item, batch
from chaos.patience import until_answered
from chaos.work_item import chain_ids, prepared
from consumers.times import LEASE_MS
from durable.errors import CursorMovedError
from durable.records import Cursor, State
from tasks import config, huey

#: All producers move this one, as several schedulers would.
SHARED = "shared"


class OurSide:
    """One producer's ways into the queue."""

    def __init__(self, name: str, seed: int) -> None:
        self.name, self.seed = name, seed
        self.store = huey.store
        self.file = config.base / f"acks-{name}.log"
        self._count = 0

    def backlog(self) -> int:
        """Tasks that are ready or wait for a time."""
        counts = self.store.counts()
        return counts[State.QUEUED] + counts[State.SCHEDULED]

    def ways(self) -> list[Callable[[], None]]:
        """Each puts one batch in, and writes down the answer."""
        return [
            lambda: self._by_cursor(self.name),
            lambda: self._by_cursor(SHARED),
            self._by_key,
            self._by_huey,
        ]

    def _by_cursor(self, cursor: str) -> None:
        """From where the cursor stands, with ids made anew each time: only the cursor and the keys guard."""
        was = until_answered(lambda: self.store.read_cursor(cursor))
        place = int(was or 0)
        items = self._batch(cursor, place)
        step = Cursor(cursor, was, str(place + 1))
        ids = [work.fresh_id() for _ in items]
        put = [work.submission(item, i) for item, i in zip(items, ids, strict=True)]
        try:
            until_answered(lambda: self.store.submit(put, step))
        except CursorMovedError:
            return  # another producer was faster
        # No ids: a repeat after a lost reply does not tell whether these or another producer's went in.
        promises = [p for item in items for p in _promises(item)]
        acks.write(self.file, acks.Ack(promises, cursor, place + 1))

    def _by_key(self) -> None:
        """Again with new ids until it is answered, and once more for good measure: the keys guard."""
        items = self._next()
        ids = until_answered(lambda: self._submit_anew(items))  # new ids at each try
        pairs = zip(items, ids, strict=True)
        acks.write(self.file, acks.Ack([p for item, i in pairs for p in _promises(item, i)]))
        with contextlib.suppress(redis.RedisError):  # the answer was had before
            self._submit_anew(items)

    def _submit_anew(self, items: list[Item]) -> list[str]:
        put = [work.submission(item, work.fresh_id()) for item in items]
        return [answer.id for answer in self.store.submit(put)]

    def _by_huey(self) -> None:
        """As a user would: each task by itself, followed by what it is chained to."""
        for item in self._next():
            task = prepared(work.work, item)
            until_answered(lambda task=task: huey.enqueue(task))  # type: ignore[misc]
            chain = [task.id, *chain_ids(task)]
            promises = [
                acks.Promise(id=task.id, retries=item.retries),
                *(acks.Promise(id=b, follows=a) for a, b in pairwise(chain)),
                *_children(item, task.id),
            ]
            acks.write(self.file, acks.Ack(promises))

    def _next(self) -> list[Item]:
        """A batch that no other process of this name has ever made."""
        self._count += 1
        return self._batch(f"{self.name}-{os.getpid()}", self._count)

    def _batch(self, producer: str, number: int) -> list[Item]:
        return batch(self.seed, producer, number, LEASE_MS / 1000)


def _promises(item: Item, task_id: str = "") -> list[acks.Promise]:
    """What is owed for an item that is in under its key."""
    lock = work.lock_of(item)
    own = acks.Promise(id=task_id, key=item.key, retries=item.retries, lock=lock)
    return [own, *_children(item, item.key)]


def _children(item: Item, parent: str) -> list[acks.Promise]:
    return [acks.Promise(key=item.child, child_of=parent)] if item.child else []
