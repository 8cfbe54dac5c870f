"""Huey on the lease queue: the same decorators and results, with every end of an attempt settled in one step."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import redis
from huey import signals
from huey.api import Huey, Result, ResultGroup, Task
from huey.constants import EmptyData
from huey.utils import Error

from durable import effects
from durable.codec import JsonSerializer
from durable.effects import Effects
from durable.errors import CodecError, NoSuchTaskError, TaskFailed, UnknownTaskError
from durable.records import FINAL, Lease, Record, State, Submission
from durable.settlement import Settlement, settlement_of
from durable.storage import LeaseStorage, Message, checked_priority, due_ms
from durable.store import LeaseStore
from durable.verdicts import Fail, GiveBack

logger = logging.getLogger(__name__)


class BatonResult(Result):
    """A task's result; `get` raises TaskFailed, which names the outcome, where Huey's raises TaskException."""

    def get(self, *args: Any, **kwargs: Any) -> Any:
        """The result, or None while there is none; `blocking=True` waits and wakes at once."""
        value = self.get_raw_result(*args, **{k: v for k, v in kwargs.items() if v is not None})
        if isinstance(value, Error):
            raise TaskFailed(value.metadata)
        return value

    @property
    def record(self) -> Record | None:
        """Where the task stands now."""
        found: Record | None = self.huey.store.record(self.id)
        return found


class BatonHuey(Huey):
    """A Huey whose storage is the lease queue. `source` says who asked, for tasks that this process enqueues."""

    storage_class = LeaseStorage

    def __init__(self, name: str = "baton", **kwargs: Any) -> None:
        kwargs.setdefault("serializer", JsonSerializer())
        kwargs.setdefault("store_none", True)  # else get(blocking=True) waits for ever on None
        super().__init__(name, **kwargs)
        self.source = "shell"

    @property
    def store(self) -> LeaseStore:
        """The queue's own verbs."""
        found: LeaseStore = self.storage.store
        return found

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
        self, task: Any, key: str = "", queue: str | None = None, source: str | None = None
    ) -> Any:
        """Submit; with a `key` a second submit of the same key answers the first task's result."""
        if not isinstance(task, Task) or self._immediate:
            return super().enqueue(task)
        for field, value in (("key", key), ("queue", queue), ("source", source)):
            if value:
                setattr(task, field, value)
        if task.expires:
            task.resolve_expires(self.utc)
        message = self.serialize_task(task)
        running = effects.current()
        if running is not None and running.after_body:
            self._enqueue_after_body(running, task, message)
        else:
            answer = self.store.submit([message.submission])[0]
            task.id = answer.id
            task.revoke_id = f"r:{answer.id}"
        self._emit(signals.SIGNAL_ENQUEUED, task)
        found = self._pipeline_results(task)
        return found[0] if len(found) == 1 else ResultGroup(found)

    def _enqueue_after_body(self, running: Effects, task: Any, message: Message) -> None:
        if task.id == running.lease.id:
            running.retrying, running.retry_body = True, bytes(message)
            due = message.submission.due_ms
            running.retry_ms = max(0, due - int(time.time() * 1000)) if due else 0
        else:
            running.follow.append(message.submission)

    def add_schedule(self, task: Any) -> None:
        """Submit for later: with us, that is a submission whose time has not come."""
        self.enqueue(task)
        self._emit(signals.SIGNAL_SCHEDULED, task)

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
            due_ms=due_ms(task.eta),
            source=self._source_of(task),
        )
        return message

    def _source_of(self, task: Any) -> str:
        running = effects.current()
        if running is not None:
            return f"task:{running.lease.id}"
        return str(getattr(task, "source", "") or self.source)

    # -- out

    def deserialize_task(self, data: bytes) -> Any:
        """The task of a message. Raises CodecError or UnknownTaskError, which say what is wrong."""
        message = self.serializer.deserialize(bytes(data))
        name = getattr(message, "name", None)
        if not isinstance(name, str):
            raise CodecError(f"not a task's message: {type(message).__name__}")
        if name not in self._registry._registry:
            raise UnknownTaskError(name)
        return self._registry.create_task(message)

    def attempt(self, lease: Lease) -> Settlement:
        """Run the attempt in this thread; how it ended is returned, not yet written."""
        try:
            task = self.deserialize_task(lease.body)
        except UnknownTaskError as error:
            return Settlement(lease, State.HELD, "unknown_task", str(error))
        except Exception as error:  # noqa: BLE001  # whatever a foreign hand wrote ends here, with its reason
            return Settlement(lease, State.FAILED, "rejected", str(error))
        running = effects.begin(lease)
        try:
            self.execute(task, self._not_before(task))
        except redis.RedisError as error:  # before the body: afterwards nothing here needs Redis
            running.exception = running.exception or GiveBack("interrupted", f"Redis: {error}")
        except BaseException as error:  # noqa: BLE001  # a result that is no JSON, sys.exit() in a body
            running.exception, running.after_body = error, True
            running.retrying, running.result, running.follow = False, b"", []
        finally:
            effects.end()
        return settlement_of(running)

    def _not_before(self, task: Any) -> dt.datetime:
        """Now, or the task's time where this clock is behind the server's, which decides."""
        now: dt.datetime = self._get_timestamp()
        return max(now, task.eta) if task.eta else now

    # -- hooks of Huey's execute

    @contextlib.contextmanager
    def _timeout_context(self, task: Any) -> Iterator[None]:
        """Wraps exactly the body: what Huey enqueues afterwards is collected."""
        running = effects.current()
        try:
            with super()._timeout_context(task):
                yield
        except BaseException as error:
            if running is not None:
                running.exception = error
                if isinstance(error, Fail):
                    task.retries = 0  # final, whatever is left
            raise
        finally:
            if running is not None:
                running.after_body = True

    def is_revoked(self, task: Any, timestamp: Any = None, peek: bool = True) -> bool:
        """As Huey's; the claim has already looked for the task in hand, and mostly there is nothing."""
        running = effects.current()
        if running and not running.lease.revoked and getattr(task, "id", "") == running.lease.id:
            return False
        return bool(super().is_revoked(task, timestamp, peek))

    def delete(self, key: str) -> bool:
        """Remove a value; Huey's tidying up after a body waits for settle, or Redis could undo the body."""
        running = effects.current()
        if running is not None and running.after_body:
            if key != f"r:{running.lease.id}":  # settle does that one itself
                running.tidy.append(key)
            return True
        return bool(super().delete(key))

    def _check_chord(self, config: Any, value: Any) -> None:
        """As Huey's, however long Redis is away."""
        while True:
            try:
                super()._check_chord(config, value)
                return
            except redis.RedisError as error:
                logger.warning("Redis does not answer, so a chord waits (%s)", error)
                time.sleep(1.0)

    def put_result(self, key: str, data: Any) -> None:
        """The result of the running attempt waits for settle; any other is stored at once."""
        running = effects.current()
        if running is None or key != running.lease.id:
            super().put_result(key, data)
            return
        if isinstance(data, Error):
            running.error = data.metadata
        running.result = self.serializer.serialize(data)

    def build_error_result(self, task: Any, exception: BaseException) -> dict[str, Any]:
        """As Huey's, with the outcome and the remedy that a verdict names."""
        found: dict[str, Any] = super().build_error_result(task, exception)
        found["outcome"] = getattr(exception, "outcome", "crashed")
        found["remedy"] = getattr(exception, "remedy", "")
        return found

    def _emit(self, signal: str, task: Any, *args: Any, **kwargs: Any) -> None:
        running = effects.current()
        if running is not None and getattr(task, "id", None) == running.lease.id:
            running.signal = signal
        super()._emit(signal, task, *args, **kwargs)

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
        found = []
        while task is not None:
            found.append(BatonResult(self, task))
            task = task.on_complete
        return found

    def _result_handle(self, task: Any) -> BatonResult:
        return BatonResult(self, task)

    def result_of(self, task_id: str) -> BatonResult:
        """A handle on the result of a task that was enqueued elsewhere. Raises NoSuchTaskError."""
        if self.store.record(task_id) is None:
            raise NoSuchTaskError(task_id)
        return BatonResult(self, Task(id=task_id))
