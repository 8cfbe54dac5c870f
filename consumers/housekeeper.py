"""The thread of each consumer that looks after what nobody looks after: lost leases, lost records, old ones."""

from __future__ import annotations

import contextlib
import logging
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis
from huey.consumer import BaseProcess

from consumers import booking, lost_runs
from consumers.retention import Retention
from consumers.times import GRACE_MS, REAP_S
from durable import identity, logfile, server
from durable.presence import ANNOUNCE_S
from durable.queue import BatonHuey
from durable.store import LeaseStore

if TYPE_CHECKING:
    from settings import Settings

log = logging.getLogger(__name__)

#: Pruning and reconciling are bounded steps; one of each this often, s.
TIDY_S = 60.0


class Housekeeper(BaseProcess):
    """In the place of Huey's scheduler, since claim moves due tasks itself. Any number may run."""

    process_name = "Housekeeper"

    def __init__(
        self,
        huey: BatonHuey,
        stop_flag: Any,
        settings: Settings,
        announce: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(huey, stop_flag)
        self.settings, self._announce = settings, announce
        self._announce_at = time.monotonic() + ANNOUNCE_S  # it did when it began
        self._tidy_at = time.monotonic() + random.uniform(0, TIDY_S)
        self._reconciled = ""
        self._home = identity.owner(settings.var, "housekeeper").rpartition(":")[0]
        self.retention = Retention(settings, huey.store)

    def loop(self, now: Any = None) -> None:
        """One look, then five seconds with jitter."""
        lost_runs.bury(self.settings.var)  # which needs no Redis
        self._rotate_the_servers_log()
        store = self.huey.store
        try:
            for task_id, what in store.reap(GRACE_MS):
                log.warning("task %s: its consumer is not heard of: %s", task_id, what)
            booking.price_lost(store, self.settings.var, self._home)
            if time.monotonic() >= self._announce_at:
                self._announce_at = time.monotonic() + ANNOUNCE_S
                self._announce()
            if time.monotonic() >= self._tidy_at:
                self._tidy_at = time.monotonic() + TIDY_S * random.uniform(0.8, 1.2)
                self._reconcile(store)
                prune(store, self.settings)
            self.retention.step()
        except redis.RedisError as error:
            log.debug("Redis does not answer: %s", error)  # the worker says so, once a minute
        self.stop_flag.wait(REAP_S * random.uniform(0.8, 1.2))

    def _rotate_the_servers_log(self) -> None:
        """The embedded server does not do it by itself, and no process of ours is it."""
        with contextlib.suppress(OSError):  # a full disk: the next look tries again
            logfile.rotate(server.own_log(self.settings))

    def _reconcile(self, store: LeaseStore) -> None:
        self._reconciled, mended = store.reconcile(self._reconciled)
        for task_id in mended:
            log.error("task %s stood in no queue; it is at the head of its own again", task_id)


def prune(store: LeaseStore, settings: Settings) -> int:
    """Remove what is older than the settings keep, with the folders of its attempts; how many."""
    removed = remove_older(store, settings, int(settings.keep_finished * 1000))
    if removed:
        log.info("%d finished tasks are older than their time and were removed", len(removed))
    return len(removed)


def remove_older(store: LeaseStore, settings: Settings, keep_ms: int) -> list[str]:
    """Remove some of the tasks that ended longer ago, with the folders of their attempts; the ids of those."""
    removed = store.prune(keep_ms, int(settings.keys_kept * 1000))
    for task_id in removed:
        _remove_attempts(settings.var / "attempts", task_id)
    return removed


def _remove_attempts(attempts: Path, task_id: str) -> None:
    """An id comes from Redis: one that is no plain name leads nowhere."""
    folder = attempts / task_id
    if folder.parent == attempts and task_id not in ("", ".", ".."):
        shutil.rmtree(folder, ignore_errors=True)
