"""The process behind one polled source: what the source has new becomes tasks, each item once.

Items and the place in the source go in by one submit, so a crash anywhere neither loses an item nor
doubles one. A failed poll takes nothing and moves nothing.
"""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections import deque
from collections.abc import Callable
from typing import Any

import redis

import producers.faults
import settings as types
from durable.errors import BatonError, CursorMovedError
from durable.patience import Patience
from durable.records import Cursor, Submission
from durable.store import LeaseStore
from producers import bookmark
from producers.bell import Bell, cancel_last_moment, stop_on_signals
from producers.bookmark import Bookmark, BookmarkError
from producers.faults import Faults
from producers.recipe import Makers, Occasion, Recipe
from producers.sources import Fetched, Item, Source, SourceError, Stopped
from producers.sources.command import Command, environment
from producers.templates import TemplateError

log = logging.getLogger(__name__)

VARIABLES = ("item", "id", "now")
_FIRST_RETRY_S = 5.0
#: Between tries of a source that fails for long, unless `every` is longer.
_RETRY_CAP_S = 900.0

#: One submit that waits to be made: its tasks, the cursor's text before it and after it.
Pending = tuple[list[Submission], str, str]


class Poller:
    """The state of one poller. `step` does what is due and says when to come again."""

    def __init__(
        self,
        config: types.Poller,
        source: Source,
        store: LeaseStore,
        recipe: Recipe,
        *,
        bell: Bell | None = None,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        faults: Faults = producers.faults.none,
    ) -> None:
        self.config, self.source, self.store, self.recipe = config, source, store, recipe
        self.bell = bell or Bell()
        self.wall, self.clock, self._fault = wall, clock, faults
        self.cursor = f"poll:{config.name}"
        self.redis = Patience("Redis", log)
        cap_s = max(_RETRY_CAP_S, config.every)
        first_s = min(_FIRST_RETRY_S, config.every)
        self.trouble = Patience("poll", log, first_s=first_s, cap_s=cap_s, every_s=0.0)
        self._pending: deque[Pending] = deque()

    def run(self, ready: Callable[[], None]) -> None:
        """Step until the bell is stopped; `ready` is called before the first poll."""
        ready()
        while not self.bell.stopped:
            self.bell.wait(self.step())

    def step(self) -> float:
        """Poll if it is time; seconds until something is due again."""
        now = self.clock()
        for wait in (self.redis, self.trouble):
            if wait.waiting(now):
                return wait.until - now
        try:
            wait_s = self._poll_if_due()
            self._submit_pending()
        except Stopped:
            return 0.0
        except SourceError as error:
            return self.trouble.failed(self.clock(), error)
        except CursorMovedError:
            log.info("another poller of this source was faster; nothing is doubled")
            self._pending.clear()
            return 0.0
        except redis.RedisError as error:
            return self.redis.failed(self.clock(), error)
        self.redis.worked()
        return wait_s

    def _poll_if_due(self) -> float:
        if self._pending:
            return 0.0
        text = self.store.read_cursor(self.cursor)
        mark = self._read(text)
        # A clock that was set back must not make the next poll later than one interval from now.
        wait_s = min(mark.due - self.wall(), self.config.every)
        if wait_s > 0:
            return wait_s
        begun = self.wall()
        fetched = self.source.fetch(mark.place, lambda: self.bell.stopped)
        self.trouble.worked()
        self._fault("fetched")
        self._take(text, mark, fetched, begun + self.config.every)
        return 0.0

    def _read(self, text: str) -> Bookmark:
        try:
            return bookmark.read(text)
        except BookmarkError as error:
            log.error("%s; polling anew, the queue's keys keep items from running twice", error)
            return Bookmark(polled=True)

    def _take(self, text: str, mark: Bookmark, fetched: Fetched, due: float) -> None:
        """Plan the submits that take an answer in."""
        new = bookmark.news(mark, fetched, self.config.first)
        made = {item.id: made for item in new if (made := self._made(item))}
        put_off = [item for item in new if item.id not in made]
        run = [item for item in new if item.id in made]
        for step in bookmark.steps(mark, fetched, run, put_off, due):
            after = step.bookmark.text()
            self._pending.append(([made[item.id] for item in step.items], text, after))
            text = after
        if new or not mark.polled:
            log.info("%d items, %d of them new", len(fetched.items), len(run))

    def _made(self, item: Item) -> Submission | None:
        key = f"poll:{self.config.name}:{bookmark.remembered(item.id)}"
        values = {"item": item.data, "id": item.id, "now": _iso(self.wall())}
        context = {"item": item.data}
        occasion = Occasion(uuid.uuid4().hex, key, values, args=(item.data,), context=context)
        try:
            return self.recipe.submission(occasion)
        except TemplateError as error:
            log.error("item %s is put off until its prompt can be made: %s", item.id, error)
            return None

    def _submit_pending(self) -> None:
        while self._pending and not self.bell.stopped:
            batch, expected, after = self._pending[0]
            self.store.submit(batch, Cursor(self.cursor, expected, after))
            self._fault("submitted")
            self._pending.popleft()

    def describe(self) -> dict[str, Any]:
        """What `status` may show."""
        waits = (self.redis, self.trouble)
        return {
            "every": float(self.config.every),
            "waiting": sum(len(batch) for batch, _, _ in self._pending),
            "problems": [wait.problem for wait in waits if wait.problem],
        }


def _iso(unix_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix_s))


def source_of(config: types.Poller, settings: types.Settings) -> Source:
    """The source that an entry names."""
    env = environment(settings.environ, config.options.get("env", ()))
    return Command(config.command, config.timeout, settings.base, env)


def run(settings: types.Settings, name: str, ready: Callable[[], None]) -> int:
    """Run the poller `name` until a signal; the exit status of the process."""
    import tasks

    bell = Bell()
    stop_on_signals(bell)
    config = settings.pollers[name]
    try:
        if config.task:
            tasks.load_user_tasks()
        makers = Makers(tasks.claude_submission, tasks.task_submission, settings.base)
        recipe = Recipe(config, "poller", VARIABLES, makers)
    except (TemplateError, BatonError) as error:
        log.error("%s", error)
        return os.EX_CONFIG
    fault = settings.environ.get("BATON_FAULT", "")
    faults = producers.faults.from_text(fault, "poller", settings.var)
    source = source_of(config, settings)
    Poller(config, source, tasks.huey.store, recipe, bell=bell, faults=faults).run(ready)
    cancel_last_moment()
    return 0
