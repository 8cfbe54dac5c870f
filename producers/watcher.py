"""The process behind one watched folder: a file that is dropped there becomes one task, once.

The folder and its ledger of claims are the truth; events only say when to look. Here is the loop:
folder.py finds the folder, intake.py brings files in, finishing.py puts them away.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable
from typing import Any

import redis

import producers.faults
import settings as types
from durable.errors import BatonError
from durable.patience import Patience
from durable.store import LeaseStore
from producers.bell import Bell, cancel_last_moment, stop_on_signals
from producers.claims import Ledger, Stopped
from producers.drops import VARIABLES
from producers.faults import Faults
from producers.finishing import Finisher
from producers.folder import POLL_S, Folder
from producers.intake import Intake
from producers.recipe import Makers, Recipe
from producers.templates import TemplateError

log = logging.getLogger(__name__)

RESCAN_S = 30.0  # the longest time without a look, whatever events say
#: Looking costs at most this part of the time, however fast files change.
BUSY_PART = 0.2


class Watcher:
    """The state of one watcher. `step` does all that is due and says when to come again."""

    def __init__(
        self,
        config: types.Watcher,
        store: LeaseStore,
        recipe: Recipe,
        *,
        bell: Bell | None = None,
        clock: Callable[[], float] = time.monotonic,
        faults: Faults = producers.faults.none,
    ) -> None:
        self.bell = bell or Bell()
        self.clock = clock
        self.folder = Folder(config.path, self.bell.ring, recursive=config.recursive)
        self.ledger = Ledger(self.folder.root, faults)
        self.finisher = Finisher(config, self.ledger, store, faults, lambda: self.bell.stopped)
        self.intake = Intake(config, self.ledger, self.finisher, store, recipe, self.bell, faults)
        self.redis = Patience("Redis", log)
        self._taken_over = False

    def run(self, ready: Callable[[], None]) -> None:
        """Step until the bell is stopped; `ready` is called once the folder has been looked at."""
        said = False
        while not self.bell.stopped:
            begun = self.clock()
            wait_s = self.step()
            ended = self.clock()
            if self.folder.present and not said:
                said = True
                ready()
            self.bell.wait(wait_s)
            rest_s = min(1.0, (ended - begun) * (1 / BUSY_PART - 1))
            self.bell.rest(rest_s - (self.clock() - ended))
        self.folder.close()

    def step(self) -> float:
        """Do everything that is due now; seconds until something is due again."""
        now = self.clock()
        self._taken_over &= not self.folder.look(now)
        if not self.folder.present:
            return max(0.1, self.folder.missing.until - now)
        due: float | None = None
        try:
            self._take_over()
            due = self.intake.take_in(now, lambda: not self.redis.waiting(now))
            if not self.redis.waiting(now):
                renewed = self.finisher.finish_all(now)
                self.intake.take_back(renewed)
                due = now if renewed else due
                self.redis.worked()
        except Stopped:
            return 0.0
        except redis.RedisError as error:
            self.redis.failed(now, error)
        except OSError as error:
            if error.errno == errno.ENOENT and not os.path.isdir(self.folder.root):
                return 0.1  # the folder went away during the step
            self.intake.disk.failed(now, error)
        return self._until_next(due)

    def _until_next(self, due: float | None) -> float:
        now = self.clock()
        times = [now + (RESCAN_S if self.folder.mode == "events" else POLL_S)]
        if due is not None:
            times.append(due)
        if self.finisher.waiting:
            times.append(self.finisher.due)
        times += [wait.until for wait in (self.redis, self.intake.disk) if wait.failures]
        return max(0.01, min(times) - now)

    def _take_over(self) -> None:
        """Read the ledger of a new folder, so that what a crash left half done goes on."""
        if self._taken_over:
            return
        claims = self.ledger.standing()
        self.intake.take_over([claim for claim in claims if not claim.submitted])
        self.finisher.take_over([claim for claim in claims if claim.submitted])
        self._taken_over = True
        if claims:
            unsent = len(self.intake.unsent)
            log.info("%d claimed files found, %d of them not yet sent", len(claims), unsent)

    def describe(self) -> dict[str, Any]:
        """What `status` may show."""
        waits = (self.folder.missing, self.redis, self.intake.disk, self.finisher.disk)
        return {
            "folder": str(self.folder.path),
            "watching": self.folder.mode,
            "settling": len(self.intake.sightings),
            "claimed": len(self.intake.unsent) + self.finisher.waiting,
            "problems": [wait.problem for wait in waits if wait.problem],
        }


def run(settings: types.Settings, name: str, ready: Callable[[], None]) -> int:
    """Run the watcher `name` until a signal; the exit status of the process."""
    import tasks

    bell = Bell()
    stop_on_signals(bell)
    config = settings.watchers[name]
    try:
        if config.task:
            tasks.load_user_tasks()
        makers = Makers(tasks.claude_submission, tasks.task_submission, settings.base)
        recipe = Recipe(config, "watcher", VARIABLES, makers)
    except (TemplateError, BatonError) as error:
        log.error("%s", error)
        return os.EX_CONFIG
    fault = settings.environ.get("BATON_FAULT", "")
    faults = producers.faults.from_text(fault, "watcher", settings.var)
    Watcher(config, tasks.huey.store, recipe, bell=bell, faults=faults).run(ready)
    cancel_last_moment()
    return 0
