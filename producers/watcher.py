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
from pathlib import Path
from typing import Any

import redis

import producers.faults
import settings as types
from durable.errors import BatonError
from durable.patience import Patience
from durable.problems import Problems
from durable.store import LeaseStore
from producers.bell import Bell, cancel_last_moment, stop_on_signals
from producers.claims import Ledger, Stopped
from producers.drops import VARIABLES
from producers.faults import Faults
from producers.finishing import Finisher
from producers.folder import POLL_S, Folder
from producers.intake import Intake
from producers.others import Others
from producers.recipe import Makers, Recipe
from producers.report import Report, file_of
from producers.returning import Returns
from producers.templates import TemplateError

log = logging.getLogger(__name__)

RESCAN_S = 30.0  # the longest time without a look, whatever events say
LOOK_S = 2.0  # between looks whether the folder is the same: what is mounted over it rings no bell
ASK_S = 10.0  # the longest time without asking what people want back, while files come
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
        notes: Path | None = None,
        report: Path | None = None,
        app: str = "",
        host: str = "",
    ) -> None:
        self.bell = bell or Bell()
        self.clock = clock
        self.folder = Folder(
            *(config.path, self.bell.ring),
            recursive=config.recursive,
            notes=notes and notes / f"{config.name}.json",
        )
        self.subject = f"watcher:{config.name}"
        self.problems = Problems(store.client, store.prefix, app=app, host=host)
        self.report = Report(report)
        self.ledger = Ledger(self.folder.root, faults)
        self.finisher = Finisher(
            *(config, self.ledger, store, faults), lambda: self.bell.stopped, notes
        )
        self.returns = Returns(
            *(self.subject, self.ledger, self.finisher, store, faults),
            shared=config.shared,
            queue=config.queue,
        )
        self.intake = Intake(config, self.ledger, self.finisher, store, recipe, self.bell, faults)
        self.others = (
            Others(self.ledger, self.intake, self.finisher, store) if config.shared else None
        )
        self.redis = Patience("Redis", log)
        self._taken_over = False
        self._ask_at = 0.0

    def run(self, ready: Callable[[], None]) -> None:
        """Step until the bell is stopped; `ready` is called once the folder has been looked for.

        One that is missing is a standing problem, and no reason to keep all other apps waiting.
        """
        while not self.bell.stopped:
            begun = self.clock()
            wait_s = self.step()
            ended = self.clock()
            ready()
            self._wait(wait_s)
            rest_s = min(1.0, (ended - begun) * (1 / BUSY_PART - 1))
            self.bell.rest(rest_s - (self.clock() - ended))
        self.folder.close()

    def _wait(self, wait_s: float) -> None:
        """Until the bell, the time, or another folder in the place of ours."""
        until = self.clock() + wait_s
        while (left_s := until - self.clock()) > 0:
            if self.bell.wait(min(left_s, LOOK_S)) or not self.folder.is_as_seen():
                return

    def step(self) -> float:
        """Do everything that is due now; seconds until something is due again."""
        now = self.clock()
        self._taken_over &= not self.folder.look(now)
        due = self._work(now) if self.folder.present else None
        self._tell(now)
        again = self.report.write(self.describe(), now)
        return self._until_next(due, again)

    def _work(self, now: float) -> float | None:
        """Bring files in and put files away; when the next one is due."""
        try:
            self._take_over()
            due = self.intake.take_in(now, lambda: not self.redis.waiting(now))
            if not self.redis.waiting(now):
                if self.others:
                    self.others.look(now)
                self._bring_back(now)
                renewed = self.finisher.finish_all(now)
                self.intake.take_back(renewed)
                due = now if renewed else due
                self.redis.worked()
            return due
        except Stopped:
            return now
        except redis.RedisError as error:
            self.redis.failed(now, error)
        except OSError as error:
            if error.errno == errno.ENOENT and not os.path.isdir(self.folder.root):
                return now + 0.1  # the folder went away during the step
            self.intake.disk.failed(now, error)
        return None

    def _tell(self, now: float) -> None:
        """Say what stands in the way of this watcher, or that nothing does."""
        if self.redis.waiting(now):
            return
        waits = (self.intake.disk, self.finisher.disk)
        said = [
            self.folder.problem,
            *(f"{wait.what}: {wait.problem}" for wait in waits if wait.problem),
        ]
        try:
            if text := "; ".join(part for part in said if part):
                self.problems.tell(self.subject, text)
            else:
                self.problems.clear(self.subject)
        except redis.RedisError as error:
            self.redis.failed(now, error)

    def _bring_back(self, now: float) -> None:
        """Whoever retries a task rings by touching the folder, which says no more than any other event."""
        if not self.intake.sightings or now >= self._ask_at:
            self._ask_at = now + ASK_S
            self.returns.answer_all()

    def _until_next(self, *dues: float | None) -> float:
        now = self.clock()
        if not self.folder.present:
            return max(0.1, self.folder.missing.until - now)
        times = [now + (RESCAN_S if self.folder.mode == "events" else POLL_S)]
        times += [due for due in dues if due is not None]
        if self.finisher.waiting:
            times.append(self.finisher.due)
        times += [wait.until for wait in (self.redis, self.intake.disk) if wait.failures]
        return max(0.01, min(times) - now)

    def _take_over(self) -> None:
        """Read the ledger of a new folder, so that what a crash left half done goes on."""
        if self._taken_over:
            return
        claims = self.ledger.standing(sweep=self.others is None)
        self.intake.take_over([claim for claim in claims if not claim.submitted])
        submitted = [claim for claim in claims if claim.submitted]
        self.finisher.take_over(submitted, self.ledger.emptied)
        self._taken_over = True
        if claims:
            unsent = len(self.intake.unsent)
            log.info("%d claimed files found, %d of them not yet sent", len(claims), unsent)

    def describe(self) -> dict[str, Any]:
        """What `status` shows."""
        return {
            "folder": str(self.folder.path),
            "watching": self.folder.mode,
            "file_system": self.folder.mount.kind if self.folder.mount else "",
            "waiting": len(self.intake.sightings),
            "claimed": len(self.intake.unsent) + self.finisher.waiting,
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
    watcher = Watcher(
        *(config, tasks.huey.store, recipe),
        bell=bell,
        faults=faults,
        notes=settings.var / "watchers",
        report=file_of(settings.var, f"watcher:{name}"),
        app=f"{settings.instance}-watch-{name}",
        host=settings.host,
    )
    watcher.run(ready)
    cancel_last_moment()
    return 0
