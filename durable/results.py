"""A handle on one task's result."""

from __future__ import annotations

import copy
import datetime as dt
from typing import Any

from huey.api import Result, Task
from huey.exceptions import TaskException
from huey.utils import Error, normalize_time

from durable.chords import pipeline, stands_for
from durable.errors import NoSuchTaskError
from durable.records import Record
from durable.storage import LeaseStorage


class TaskFailed(TaskException):  # users catch this name
    """Raised by `Result.get()` for a task that did not succeed; `outcome` says how it ended."""

    def __init__(self, metadata: dict[str, Any]) -> None:
        self.outcome: str = metadata.get("outcome", "failed")
        self.task_id: str = metadata.get("task_id", "")
        self.remedy: str = metadata.get("remedy", "")
        super().__init__(metadata)

    def __repr__(self) -> str:
        return f"TaskFailed({str(self)!r})"

    def __str__(self) -> str:
        said = f"{self.outcome}: {self.metadata.get('error', 'no message')}"
        return f"{said} ({self.remedy})" if self.remedy else said


class BatonResult(Result):
    """A task's result; `get` raises TaskFailed, which names the outcome, where Huey's raises TaskException."""

    def get(self, *args: Any, **kwargs: Any) -> Any:
        """The result, or None while there is none; `blocking=True` waits and wakes at once."""
        value = self.get_raw_result(*args, **{k: v for k, v in kwargs.items() if v is not None})
        if isinstance(value, Error):
            raise TaskFailed(value.metadata)
        return value

    def _get(self, preserve: bool = False) -> Any:
        """Reading removes nothing: a result is there for every reader, as long as records are kept."""
        return super()._get(preserve or isinstance(self.huey.storage, LeaseStorage))

    @property
    def record(self) -> Record | None:
        """Where the task stands now; None in immediate mode, which keeps no records."""
        if not isinstance(self.huey.storage, LeaseStorage):
            return None
        found: Record | None = self.huey.store.record(self.id)
        return found

    def reschedule(
        self,
        eta: dt.datetime | None = None,
        delay: float | None = None,
        expires: Any = None,
        priority: float | None = None,
        preserve_pipeline: bool = True,
    ) -> Any:
        """Revoke the task and send its work again under a new id: at `eta`, in `delay` seconds, or now.

        Its place in a chord goes along, before anything else: the revoked task must not take it.
        """
        task = copy.copy(self._whole_task())
        stands_for(task, task.create_id())
        task.key = ""  # it would answer with the task that is revoked here
        timed = eta is not None or delay is not None
        task.eta = normalize_time(eta, delay, self.huey.utc) if timed else None
        task.priority = task.priority if priority is None else priority
        task.expires = task.expires if expires is None else expires
        chorded = any(t.chord_config for t in pipeline(task))
        if not preserve_pipeline:
            task.on_complete = task.on_error = None
        if chorded and isinstance(self.huey.storage, LeaseStorage):
            self.huey.store.move_member(self.id, [t.id for t in pipeline(task)])
        self.revoke()
        return self.huey.enqueue(task)

    def _whole_task(self) -> Any:
        """The task itself, from its record where this handle was made from an id alone."""
        if type(self.task) is not Task:
            return self.task
        record = self.record
        if record is None:
            raise NoSuchTaskError(self.id)
        return self.huey.deserialize_task(record.body)
