"""The process behind one polled source: what the source has new becomes tasks, each item once.

Items and the place in the source go in by one submit, so a crash anywhere neither loses an item nor
doubles one. A failed poll takes nothing and moves nothing.
"""

from __future__ import annotations

import hashlib
import logging
import os
import random
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import redis

import producers.faults
import settings as types
from durable.errors import BatonError, CursorMovedError
from durable.patience import Patience
from durable.records import Cursor
from durable.store import LeaseStore
from producers import bookmark
from producers.bell import Bell, cancel_last_moment, stop_on_signals
from producers.bookmark import Bookmark, BookmarkError, Timing
from producers.faults import Faults
from producers.harvest import VARIABLES, Harvest, Pending
from producers.poll_trouble import Trouble
from producers.recipe import Makers, Recipe
from producers.report import Report, file_of
from producers.sources import Fetched, Item, Source, SourceError, Stopped
from producers.sources.opening import source_of
from producers.templates import TemplateError

log = logging.getLogger(__name__)

#: The longest sleep, s: after it a suspend, a clock that is set and a poll by hand are noticed.
LOOK_S = 30.0
#: A poll comes up to so much later, by chance, that not all of a machine's pollers ask at one moment for ever.
_JITTER, _MOST_JITTER_S = 0.05, 30.0


class Poller:
    """The state of one poller. `step` does what is due and says when to come again."""

    def __init__(
        self,
        config: types.Poller,
        source: Source,
        store: LeaseStore,
        recipe: Recipe,
        *,
        app: str = "",
        host: str = "",
        report: Path | None = None,
        bell: Bell | None = None,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        faults: Faults = producers.faults.none,
    ) -> None:
        self.config, self.source, self.store = config, source, store
        self.bell = bell or Bell()
        self.wall, self.clock, self._chance, self._fault = wall, clock, chance, faults
        self.cursor = f"poll:{config.name}"
        self.of = _digest(config)
        self.redis = Patience("Redis", log)
        self.trouble = Trouble(config.name, config.every, store, log, app, host)
        self.report = Report(report)
        self._polled = {
            name: self.report.before.get(name, 0) for name in ("polled_at", "items", "new")
        }
        self.harvest = Harvest(config, recipe, wall)
        self._pending: deque[Pending] = deque()
        self._failed_at = ""  # the cursor's text at the last failure

    def run(self, ready: Callable[[], None]) -> None:
        """Step until the bell is stopped; `ready` is called before the first poll."""
        ready()
        while not self.bell.stopped:
            wait_s = self.step()
            self.bell.wait(min(LOOK_S, wait_s, self._report(wait_s)))

    def step(self) -> float:
        """Poll if it is time; seconds until something is due again."""
        if self.redis.waiting(self.clock()):
            return self.redis.until - self.clock()
        try:
            wait_s = self._turn()
            self.trouble.tell(self.clock(), len(self.harvest.put_off))
        except Stopped:
            return 0.0
        except CursorMovedError:
            log.info("another poller of this source was faster; nothing is doubled")
            self._pending.clear()
            return 0.0
        except redis.RedisError as error:
            return self.redis.failed(self.clock(), error)
        self.redis.worked()
        return wait_s

    def _report(self, wait_s: float) -> float:
        """For `status`: the last poll that was answered, and the next; seconds until it should be written again."""
        if wait_s <= 0:
            return 0.0
        now = self.clock()
        failed = self.redis.problem or self.trouble.patience.problem
        facts = {**self._polled, "next_at": round(self.wall() + wait_s), "failed": failed}
        again = self.report.write(facts, now)
        return LOOK_S if again is None else again - now

    def _turn(self) -> float:
        if self._pending:
            self._submit_pending()
        text = self.store.read_cursor(self.cursor)
        patience = self.trouble.patience
        if patience.waiting(self.clock()) and text == self._failed_at:
            return patience.until - self.clock()
        mark = self._read(text)
        wait_s = self._due_in(mark)
        if wait_s > 0:
            self.trouble.over()  # a failure is followed by a wait of its own: somebody else has polled
            return wait_s
        try:
            self._take(text, mark, *self._fetched(mark))
        except SourceError as error:
            self._failed_at = text
            return self.trouble.failed(self.clock(), error)
        self.trouble.over()
        self._submit_pending()
        return 0.0

    def _due_in(self, mark: Bookmark) -> float:
        """Seconds until the next poll is due."""
        # A clock that was set back must not make the next poll later than one interval from now.
        longest_s = max(mark.pause, self.config.every)
        return min(mark.due_when(self.config.every, self.of) - self.wall(), longest_s)

    def _fetched(self, mark: Bookmark) -> tuple[Fetched, float]:
        """What the source answers, and when it was asked."""
        begun = self.wall()
        fetched = self.source.fetch(mark.place, lambda: self.bell.stopped)
        self._fault("fetched")
        return fetched, begun

    def poll_now(self, *, dry: bool = False) -> list[Item]:
        """Poll whatever the time; the items that are new, which went in unless `dry`.

        Raises SourceError, Stopped, CursorMovedError and redis.RedisError.
        """
        text = self.store.read_cursor(self.cursor)
        mark = self._read(text)
        fetched, begun = self._fetched(mark)
        new = list(bookmark.news(mark, fetched, self.config.first))
        if not dry:
            self._take(text, mark, fetched, begun)
            self._submit_pending()
            self.trouble.tell(self.clock(), len(self.harvest.put_off))
        return new

    def _read(self, text: str) -> Bookmark:
        try:
            return bookmark.read(text)
        except BookmarkError as error:
            log.error("%s; polling anew, the queue's keys keep items from running twice", error)
            return Bookmark(polled=True)

    def _take(self, text: str, mark: Bookmark, fetched: Fetched, begun: float) -> None:
        """Plan the submits that take an answer in."""
        every = float(self.config.every)
        later_s = self._chance() * min(_MOST_JITTER_S, _JITTER * every)
        pause_s = fetched.wait_s if fetched.more else max(every, fetched.wait_s) + later_s
        timing = Timing(begun + pause_s, pause_s, every, self.of)
        planned = self.harvest.plan(text, mark, fetched, timing)
        self._pending.extend(planned)
        new = sum(len(pending.batch) for pending in planned)
        self._polled = {"polled_at": round(begun), "items": len(fetched.items), "new": new}

    def _submit_pending(self) -> None:
        while self._pending and not self.bell.stopped:
            batch, expected, after, entries = self._pending[0]
            self.store.submit(batch, Cursor(self.cursor, expected, after), entries)
            self._fault("submitted")
            self._pending.popleft()


def _digest(config: types.Poller) -> str:
    """Of what is asked: another one is another source, which is asked at once."""
    asked = (config.command, config.http, config.feed)
    return hashlib.sha256(msgspec.json.encode(asked)).hexdigest()[:12]


def run(settings: types.Settings, name: str, ready: Callable[[], None]) -> int:
    """Run the poller `name` until a signal; the exit status of the process."""
    bell = Bell()
    stop_on_signals(bell)
    fault = settings.environ.get("BATON_FAULT", "")
    faults = producers.faults.from_text(fault, "poller", settings.var)
    try:
        report = file_of(settings.var, f"poller:{name}")
        poller = poller_of(settings, name, bell=bell, faults=faults, report=report)
    except (TemplateError, BatonError, SourceError) as error:
        log.error("%s", error)
        return os.EX_CONFIG
    poller.run(ready)
    cancel_last_moment()
    return 0


def poller_of(settings: types.Settings, name: str, **more: Any) -> Poller:
    """The poller of an entry. Raises TemplateError, BatonError and SourceError for what cannot work."""
    import tasks

    config = settings.pollers[name]
    if config.task:
        tasks.load_user_tasks()
    makers = Makers(tasks.claude_submission, tasks.task_submission, settings.base)
    recipe = Recipe(config, "poller", VARIABLES, makers)
    app = f"{settings.instance}-poll-{name}"
    source = source_of(config, settings)
    more |= {"app": app, "host": settings.host}
    return Poller(config, source, tasks.huey.store, recipe, **more)
