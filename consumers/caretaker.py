"""The thread of each consumer that removes the workspaces of tasks that are final. Any number may run."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

import redis

from consumers import workspace_notes as notes
from consumers import workspaces
from durable.records import Record, State
from durable.store import LeaseStore

if TYPE_CHECKING:
    from settings import Settings

log = logging.getLogger(__name__)

#: Between two looks, s.
LOOK_EVERY_S = 3.0
#: Between two looks at those that were kept, s.
KEPT_EVERY_S = 60.0


class Caretaker(threading.Thread):
    """Apart from the housekeeper, because a large folder takes long and lost leases do not wait."""

    def __init__(self, settings: Settings, store: LeaseStore) -> None:
        super().__init__(name="caretaker", daemon=True)
        self.settings, self.store = settings, store
        self._kept_at = 0.0
        self._refused: set[str] = set()

    def run(self) -> None:
        """Until the process ends; what is half done then is done by the next."""
        while True:
            time.sleep(LOOK_EVERY_S)
            try:
                self.look()
            except redis.RedisError as error:
                log.debug("Redis does not answer: %s", error)  # the worker says so, once a minute
            except (
                Exception
            ):  # a mistake of ours: the other workspaces are still to be looked after
                log.exception("the workspaces could not be looked after")
                time.sleep(KEPT_EVERY_S)

    def look(self) -> None:
        """One look at every workspace that may have to go. Raises redis.RedisError."""
        for task_id in notes.active(self.settings.var):
            record = self.store.record(task_id)
            if record is None or record.state.final:
                self._finish(task_id, record)
        if time.monotonic() < self._kept_at:
            return
        self._kept_at = time.monotonic() + KEPT_EVERY_S
        for task_id in notes.kept(self.settings.var):
            if self.store.record(task_id) is None:
                self._finish(task_id, None, outlived=True)

    def _finish(self, task_id: str, record: Record | None, *, outlived: bool = False) -> None:
        def still() -> bool:
            now = self.store.record(task_id)
            return now is None or now.state.final

        succeeded = record is not None and record.state is State.SUCCEEDED
        try:
            workspaces.finish(self.settings, task_id, still, succeeded=succeeded, outlived=outlived)
        except OSError as error:
            if task_id not in self._refused:  # once, not every 3 s
                log.warning("task %s: its workspace cannot be removed: %s", task_id, error)
            self._refused.add(task_id)
