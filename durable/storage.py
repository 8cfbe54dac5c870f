"""Huey's storage interface on the lease queue: what Huey and its users call, in terms of the store's verbs."""

from __future__ import annotations

import calendar
import datetime as dt
import time
import uuid
from collections.abc import Sequence
from typing import Any

from huey.constants import EmptyData
from huey.storage import BaseStorage

from durable.connect import connect
from durable.errors import BatonError
from durable.records import FINAL, State, Submission
from durable.store import LeaseStore

#: Nobody waits longer than this for a message that may have been lost.
_LOOK_AGAIN_S = 5.0
_LISTED = 1000  # no list is read whole
_PRIORITIES = 4000  # ±; the score keeps 40 bits for the order of arrival


class Message(bytes):
    """A serialised task that still knows what the queue must know about it."""

    submission: Submission


def due_ms(eta: dt.datetime | None, utc: bool = True) -> int:
    """Huey's naive datetime, in UTC or in local time, as milliseconds since 1970; 0 for none."""
    if eta is None:
        return 0
    if not utc:
        return int(eta.timestamp() * 1000)
    return calendar.timegm(eta.utctimetuple()) * 1000 + eta.microsecond // 1000


def ms() -> int:
    """This machine's clock, milliseconds since 1970; leases never go by it."""
    return int(time.time() * 1000)


def checked_priority(priority: float | None) -> int:
    """The priority as the queue keeps it: a whole number between -4000 and 4000."""
    value = int(priority or 0)
    if abs(value) > _PRIORITIES:
        raise BatonError(f"priority {priority} is out of range: -{_PRIORITIES} to {_PRIORITIES}")
    return value


def _first(found: list[Any]) -> Any:
    return next((value for value in found if value is not None), EmptyData)


class LeaseStorage(BaseStorage):
    """Tasks go through the store; results are fields of their records and are read without being removed."""

    blocking = True

    def __init__(self, name: str = "baton", url: str = "", client: Any = None, **_: object) -> None:
        super().__init__(name)
        self.client = client if client is not None else connect(url)
        self.store = LeaseStore(self.client, f"{{{name}}}:")
        self._index = f"{self.store.prefix}kv"  # names of the values beside the records

    def _name(self, key: object) -> str:
        return key.decode("utf-8", "surrogateescape") if isinstance(key, bytes) else str(key)

    def _key(self, kind: str, key: object) -> str:
        return f"{self.store.prefix}{kind}:{self._name(key)}"

    def _transaction(self) -> Any:
        return self.client.pipeline(transaction=True)

    def close(self) -> bool:
        """Close this process's connections; the next command opens new ones."""
        self.client.close()
        return True

    # -- the queue

    def enqueue(self, data: bytes, priority: float | None = None) -> None:
        """Submit one message; bytes that carry no submission get an id of their own."""
        if isinstance(data, Message):
            self.store.submit([data.submission])
            return
        task_id = uuid.uuid4().hex
        self.store.submit([Submission(id=task_id, body=data, priority=checked_priority(priority))])

    def dequeue(self) -> bytes | None:
        """Refuse: taking a message out without a lease is how tasks are lost."""
        raise NotImplementedError("tasks are leased: use store.claim, or start a Baton consumer")

    def queue_size(self) -> int:
        """Tasks that are ready to run."""
        return self.store.counts()[State.QUEUED]

    def enqueued_items(self, limit: int | None = None) -> list[bytes]:
        """Messages of the ready tasks, next first."""
        return [r.body for r in self.store.page(State.QUEUED, limit or 10_000)]

    def flush_queue(self) -> None:
        """Cancel every waiting task; running ones go on."""
        self._cancel_all(State.QUEUED)

    # -- the schedule

    def add_to_schedule(self, data: bytes, ts: dt.datetime) -> None:
        """Submit one message for later; `ts` is UTC for bytes that carry no submission."""
        if isinstance(data, Message):
            self.store.submit([data.submission])
            return
        self.store.submit([Submission(id=uuid.uuid4().hex, body=data, due_ms=due_ms(ts))])

    def read_schedule(self, ts: dt.datetime) -> list[bytes]:
        """Nothing: claim moves due tasks itself, in the server, in one step."""
        return []

    def schedule_size(self) -> int:
        """Tasks that wait for a time."""
        return self.store.counts()[State.SCHEDULED]

    def scheduled_items(self, limit: int | None = None) -> list[bytes]:
        """Messages of the tasks that wait for a time, next first."""
        return [r.body for r in self.store.page(State.SCHEDULED, limit or 10_000)]

    def flush_schedule(self) -> None:
        """Cancel every task that waits for a time."""
        self._cancel_all(State.SCHEDULED)

    def _cancel_all(self, state: State) -> None:
        while waiting := self.store.page(state, _LISTED):
            for record in waiting:
                self.store.cancel(record.id)

    # -- results and other data

    def put_data(self, key: object, value: bytes, is_result: bool = False) -> None:
        """Store a value beside the records (revocations, users' own); whoever waits for a result is woken."""
        with self._transaction() as pipe:
            pipe.set(self._key("kv", key), value)
            pipe.zadd(self._index, {self._name(key): 0})
            if is_result:
                pipe.publish(self._key("done", key), "value")
            pipe.execute()

    def peek_data(self, key: object) -> Any:
        """The value or a task's result; EmptyData when there is none."""
        with self.client.pipeline(transaction=False) as pipe:
            pipe.get(self._key("kv", key))
            pipe.hget(self._key("task", key), "result")
            return _first(pipe.execute())

    def pop_data(self, key: object) -> Any:
        """The value, removed; a task's result stays with its record."""
        with self._transaction() as pipe:
            pipe.getdel(self._key("kv", key))
            pipe.hget(self._key("task", key), "result")
            pipe.zrem(self._index, self._name(key))
            return _first(pipe.execute()[:2])

    def peek_many(self, keys: Sequence[object]) -> dict[object, bytes]:
        """The values that exist."""
        found = self.client.mget([self._key("kv", k) for k in keys])
        return {k: v for k, v in zip(keys, found, strict=True) if v is not None}

    def delete_data(self, key: object) -> bool:
        """Remove a value; whether there was one."""
        with self._transaction() as pipe:
            pipe.delete(self._key("kv", key))
            pipe.zrem(self._index, self._name(key))
            return bool(pipe.execute()[0])

    def has_data_for_key(self, key: object) -> bool:
        """Whether there is a value or a result."""
        return self.peek_data(key) is not EmptyData

    def put_if_empty(self, key: object, value: bytes, ttl: float | None = None) -> bool:
        """Store a value unless there is one; `ttl` in seconds. Whether it was stored."""
        px = int(ttl * 1000) if ttl else None
        with self._transaction() as pipe:
            pipe.set(self._key("kv", key), value, nx=True, px=px)
            pipe.zadd(self._index, {self._name(key): 0})  # there either way
            return bool(pipe.execute()[0])

    def incr(self, key: object, amount: int = 1) -> int:
        """Add to a counter; its new value."""
        return int(self.client.hincrby(self._key("counters", "user"), str(key), amount))

    def delete_counter(self, key: object) -> bool:
        """Remove a counter; whether there was one."""
        return bool(self.client.hdel(self._key("counters", "user"), str(key)))

    def flush_counters(self) -> None:
        """Set every counter to nothing."""
        self.client.delete(self._key("counters", "user"))

    def result_store_size(self) -> int:
        """Finished tasks whose records are kept, and values beside them."""
        counts = self.store.counts()
        return sum(counts[state] for state in FINAL) + len(self._values())

    def result_items(self) -> dict[str, bytes]:
        """Results by task id, of the latest thousand finished tasks of each state, and a thousand other values."""
        ids = [r.id for state in FINAL for r in self.store.page(state, _LISTED)]
        return {**self._values(), **self.store.results(ids)}

    def _values(self) -> dict[str, bytes]:
        """Values beside the records; names whose time ran out leave the index."""
        listed: Any = self.client.zrange(self._index, 0, _LISTED - 1)
        names = [name.decode("utf-8", "surrogateescape") for name in listed]
        found = self.peek_many(names) if names else {}
        gone = [name for name in names if name not in found]
        if gone:
            self.client.zrem(self._index, *gone)
        return {str(name): value for name, value in found.items()}

    def flush_results(self) -> None:
        """Refuse: results are records, and records are kept until they are pruned."""
        raise NotImplementedError("results are part of the records; they are kept until pruned")

    def flush_all(self) -> None:
        """Refuse, before anything is gone: finished work is kept; waiting work has flush_queue and flush_schedule."""
        self.flush_results()

    def wait_result(
        self,
        key: object,
        timeout: float | None = None,
        backoff: float = 1.15,
        max_delay: float = 1.0,
    ) -> bool:
        """Block until the task is final, woken by its settle. False after `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self.client.pubsub() as channel:
            channel.subscribe(self._key("done", key))
            while True:
                record = self.store.record(str(key))  # after subscribing: nothing falls between
                if (record and record.state.final) or self.has_data_for_key(key):
                    return True
                left = _LOOK_AGAIN_S if deadline is None else deadline - time.monotonic()
                if left <= 0:
                    return False
                self._listen(channel, min(left, _LOOK_AGAIN_S))

    @staticmethod
    def _listen(channel: Any, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            message = channel.get_message(ignore_subscribe_messages=True, timeout=left)
            if message is not None:
                return
