"""Running one attempt: Huey's execute as it is, and hooks that collect what it does around a body into one end."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator
from functools import partial
from typing import Any

import redis
from huey import signals
from huey.api import Huey
from huey.utils import Error

from durable import effects
from durable.effects import Effects
from durable.errors import CodecError, UnknownTaskError
from durable.records import Lease, State
from durable.settlement import Settlement, settlement_of
from durable.store import LeaseStore
from durable.verdicts import Fail, GiveBack


class Execution(Huey):
    """The half of BatonHuey that a consumer calls."""

    @property
    def store(self) -> LeaseStore:
        """The queue's own verbs."""
        found: LeaseStore = self.storage.store
        return found

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
            self._resolve_late(task, lease)
            self.execute(task, self._not_before(task))
        except redis.RedisError as error:  # before the body: afterwards nothing here needs Redis
            running.exception = running.exception or GiveBack("interrupted", f"Redis: {error}")
        except BaseException as error:  # noqa: BLE001  # a result that is no JSON, a hook, sys.exit() in a body
            self._fail(running, error)
        finally:
            effects.end()
        return settlement_of(running)

    def _resolve_late(self, task: Any, lease: Lease) -> None:
        """A chord's callback goes in by itself: its `expires` in seconds counts from that moment."""
        if not task.expires or task.expires_resolved is not None:
            return
        from_now: dt.datetime = task.resolve_expires(self.utc)
        record = self.store.record(lease.id)
        if record is not None and not isinstance(task.expires, dt.datetime):
            age_ms = self.store.now_ms() - record.created_ms
            task.expires_resolved = from_now - dt.timedelta(milliseconds=age_ms)

    def _fail(self, running: Effects, error: BaseException) -> None:
        """What is no task's error, or follows the body and raised: the attempt failed, and would again."""
        running.exception, running.after_body, running.retrying = error, True, False
        running.follow.clear()
        told = {"error": repr(error), "task_id": running.lease.id, "outcome": "crashed"}
        running.result = self.serializer.serialize(Error({**told, "retries": 0, "traceback": ""}))
        running.member_value = running.result

    def _not_before(self, task: Any) -> dt.datetime:
        """Now, or the task's time where this clock is behind the server's, which decides."""
        now: dt.datetime = self._get_timestamp()
        return max(now, task.eta) if task.eta else now

    # -- hooks of Huey's execute

    @contextlib.contextmanager
    def _timeout_context(self, task: Any) -> Iterator[None]:
        """Wraps exactly the body: what Huey enqueues afterwards is collected."""
        running = effects.current()
        if running is None:
            with super()._timeout_context(task):
                yield
            return
        running.task, running.in_body = task, True
        try:
            with super()._timeout_context(task):
                yield
        except BaseException as error:
            running.exception = error
            if isinstance(error, Fail):
                task.retries = 0  # final, whatever is left
            raise
        finally:
            running.in_body, running.after_body = False, True

    def is_revoked(self, task: Any, timestamp: Any = None, peek: bool = True) -> bool:
        """As Huey's; the claim has already looked for the task in hand, and mostly there is nothing."""
        running = effects.current()
        if running and not running.lease.revoked and getattr(task, "id", "") == running.lease.id:
            return False
        return bool(super().is_revoked(task, timestamp, peek))

    def delete(self, key: str) -> bool:
        """Remove a value; Huey's tidying up around a body waits for settle, or a crash would undo half of it."""
        running = effects.current()
        if running is not None and not running.in_body:
            if key != f"r:{running.lease.id}":  # the settlement sees to that one
                running.tidy.append(key)
            return True
        return bool(super().delete(key))

    def _check_chord(self, config: Any, value: Any) -> None:
        """The member's value is part of settle, which also knows whether it is the last."""
        running = effects.current()
        if running is None:
            super()._check_chord(config, value)
        else:
            running.member_value = self.serializer.serialize(value)

    def put_result(self, key: str, data: Any) -> None:
        """What a running attempt stores at its end waits for settle; anything else is stored at once."""
        running = effects.current()
        if running is None or running.in_body:
            super().put_result(key, data)
            return
        if key != running.lease.id:
            running.values[key] = self.serializer.serialize(data)
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
        """Send a signal; those that tell of an attempt's end wait until it is written."""
        running = effects.current()
        if running is None or running.in_body or signal == signals.SIGNAL_EXECUTING:
            super()._emit(signal, task, *args, **kwargs)
            return
        if getattr(task, "id", None) == running.lease.id:
            running.signal = signal
        running.said.append(partial(super()._emit, signal, task, *args, **kwargs))
