"""Huey on the lease queue: the same decorators and results, with every end of an attempt settled in one step."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from huey import signals
from huey.api import ResultGroup, Task
from huey.constants import EmptyData
from huey.utils import Error

from durable import effects
from durable.chords import Batch, Gathered, opening, pipeline, stands_for
from durable.codec import JsonSerializer
from durable.effects import Effects
from durable.errors import NoSuchTaskError
from durable.execution import Execution
from durable.guards import OwnedLock, ServerRateLimit
from durable.records import FINAL, State, Submission
from durable.results import BatonResult
from durable.storage import LeaseStorage, Message, checked_priority, due_ms, ms

#: Share of a retry's delay that is added at random, unless the task has its own `retry_jitter`: what failed together
#: must not come back together.
RETRY_JITTER = 0.1


def jittered_ms(wait_ms: int, jitter: float) -> int:
    """The wait, longer by up to this share of it."""
    return int(wait_ms * random.uniform(1, 1 + jitter))


class BatonHuey(Execution):
    """A Huey whose storage is the lease queue. Of tasks that this process enqueues, `source` says who asked, and `by`
    whose process that was.
    """

    storage_class = LeaseStorage

    def __init__(self, name: str = "baton", **kwargs: Any) -> None:
        kwargs.setdefault("serializer", JsonSerializer())
        kwargs.setdefault("store_none", True)  # else get(blocking=True) waits for ever on None
        kwargs.setdefault(
            "store_intermediate_errors", False
        )  # else it ends at the first failed attempt
        super().__init__(name, **kwargs)
        self.source, self.by = "shell", ""
        self._gathered = Gathered()

    # -- in

    def periodic_task(self, validate_datetime: Callable[..., bool], **kwargs: Any) -> Any:
        """As Huey's; the validator stays readable for the scheduler as `cron_spec` of the task's class."""
        decorate = super().periodic_task(validate_datetime, **kwargs)

        def decorator(function: Callable[..., Any]) -> Any:
            wrapper = decorate(function)
            wrapper.task_class.cron_spec = validate_datetime
            return wrapper

        return decorator

    def enqueue(
        self,
        task: Any,
        key: str = "",
        queue: str | None = None,
        source: str | None = None,
        lock: str = "",
    ) -> Any:
        """Submit; with a `key` a second submit of the same key answers the first task's result.

        Of the tasks with the same `lock`, one runs at a time; the others wait in order and hold no consumer.
        A group or a chord goes in whole, in one step. In immediate mode the task runs here and now.
        """
        if not isinstance(task, Task):
            return self._enqueue_together(task)
        for field, value in (("key", key), ("queue", queue), ("source", source), ("lock", lock)):
            if value:
                setattr(task, field, value)
        running = effects.current()
        if running is not None and running.repeats(task):
            stands_for(task, task.create_id())  # a second submit of the same id is none
        if task.expires:
            task.resolve_expires(self.utc)
        message = self.serialize_task(
            task
        )  # in immediate mode too: what cannot be sent shows in users' tests
        if self._immediate:
            return super().enqueue(task)
        later = message.submission.due_ms > ms()
        self._send(task, message, (signals.SIGNAL_ENQUEUED, signals.SIGNAL_SCHEDULED)[: 1 + later])
        if not self.results:
            return None
        found = self._pipeline_results(task)
        return found[0] if len(found) == 1 else ResultGroup(found)

    def _enqueue_together(self, tasks: Any) -> Any:
        """A group or chord; one inside another goes along with the outer one."""
        if self._immediate or self._gathered.batch is not None:
            return super().enqueue(tasks)
        batch = self._gathered.batch = Batch()
        try:
            found = super().enqueue(tasks)
        finally:
            self._gathered.batch = None
        batch.submit(self.store)
        for task, _, said in batch.tasks:
            self._emit_all(said, task)
        return found

    def _enqueue_chord(self, group: Any) -> Any:
        found = super()._enqueue_chord(group)
        if self._gathered.batch is not None and group.tasks:
            self._gathered.batch.chords.append(opening(self, group))
        return found

    def _enqueue_chord_member(self, task: Any, config: Any) -> BatonResult:
        return BatonResult(self, super()._enqueue_chord_member(task, config).task)

    def _send(self, task: Any, message: Message, said: tuple[str, ...]) -> None:
        """Submit now, with the batch that is being gathered, or with the end of the running attempt."""
        running = effects.current()
        if running is not None and running.after_body and self._gathered.batch is None:
            self._send_with_end(running, task, message)
        elif self._gathered.batch is not None:
            self._gathered.batch.tasks.append((task, message.submission, said))
            return
        else:
            stands_for(task, self.store.submit([message.submission])[0].id)
        self._emit_all(said, task)

    def _send_with_end(self, running: Effects, task: Any, message: Message) -> None:
        if task.id == running.lease.id:
            running.retrying, running.retry_body = True, bytes(message)
            due = message.submission.due_ms
            wait_ms = max(0, due - ms()) if due else 0
            running.retry_ms = jittered_ms(wait_ms, getattr(task, "retry_jitter", RETRY_JITTER))
        else:
            running.follow.append(message.submission)

    def add_schedule(self, task: Any) -> None:
        """Submit for later: with us, that is a submission whose time has not come."""
        if self._immediate:
            super().add_schedule(task)
            return
        self._send(task, self.serialize_task(task), (signals.SIGNAL_SCHEDULED,))

    def serialize_task(self, task: Any) -> Message:
        """The message, with all that the queue must know beside it."""
        message = Message(super().serialize_task(task))
        message.submission = Submission(
            id=task.id,
            body=bytes(message),
            name=self._registry.task_to_string(type(task)),
            key=getattr(task, "key", ""),
            kind=getattr(task, "kind", "python"),
            queue=getattr(task, "queue", "default"),
            priority=checked_priority(task.priority),
            due_ms=due_ms(task.eta, self.utc),
            source=self._source_of(task),
            by=self.by,
            lock=getattr(task, "lock", ""),
            **getattr(task, "paying", dict)(),
        )
        return message

    def _source_of(self, task: Any) -> str:
        running = effects.current()
        if running is not None:
            return f"task:{running.lease.id}"
        return str(getattr(task, "source", "") or self.source)

    def _emit_all(self, said: tuple[str, ...], task: Any) -> None:
        for signal in said:
            self._emit(signal, task)

    # -- what people and bodies say

    def revoke(self, task: Any, revoke_until: Any = None, revoke_once: bool = False) -> None:
        """As Huey's for a task that waits; a running one is cancelled."""
        super().revoke(task, revoke_until, revoke_once)
        if isinstance(self.storage, LeaseStorage):
            record = self.store.record(
                task.id
            )  # afterwards: one that starts meanwhile sees the revocation
            if record is not None and record.state is State.RUNNING:
                self.store.cancel(task.id)

    def lock_task(self, lock_name: str, ttl: float | None = None) -> OwnedLock:
        """A named lock, as a decorator under @huey.task() or a context; `ttl` in seconds."""
        return OwnedLock(self, lock_name, ttl)

    def rate_limit(self, name: str, limit: int, per: float, retry: bool = True) -> ServerRateLimit:
        """At most `limit` in each window of `per` seconds."""
        return ServerRateLimit(self, name, limit, per, retry=retry)

    # -- results

    def get_raw(self, key: str, peek: bool = False) -> Any:
        """As Huey's; a task that ended without writing a result answers with the error that says why."""
        data = super().get_raw(key, peek)
        if data is not EmptyData:
            return data
        record = self.store.record(key) if isinstance(self.storage, LeaseStorage) else None
        if record is None or record.state not in FINAL or record.state is State.SUCCEEDED:
            return data
        error = {
            "error": record.reason,
            "outcome": record.outcome or record.state.value,
            "task_id": key,
        }
        return self.serializer.serialize(Error({**error, "retries": 0, "traceback": ""}))

    def _pipeline_results(self, task: Any) -> list[BatonResult]:
        return [BatonResult(self, t) for t in pipeline(task)]

    def _result_handle(self, task: Any) -> BatonResult:
        return BatonResult(self, task)

    def result(self, id: str, **kwargs: Any) -> Any:  # noqa: A002  # Huey's own word
        """The result of the task with this id; the rest is as in BatonResult.get."""
        return BatonResult(self, Task(id=id)).get(**kwargs)

    def result_of(self, task_id: str) -> BatonResult:
        """A handle on the result of a task that was enqueued elsewhere. Raises NoSuchTaskError."""
        if self.store.record(task_id) is None:
            raise NoSuchTaskError(task_id)
        return BatonResult(self, Task(id=task_id))
