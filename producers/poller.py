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
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import redis

import producers.faults
import settings as types
from durable.errors import BatonError, CursorMovedError
from durable.patience import Patience
from durable.records import Cursor, Entry, Submission
from durable.store import LeaseStore
from producers import bookmark, poll_fates
from producers.bell import Bell, cancel_last_moment, stop_on_signals
from producers.bookmark import Bookmark, BookmarkError
from producers.faults import Faults
from producers.recipe import Makers, Occasion, Recipe
from producers.sources import Fetched, Item, RefusedError, Source, SourceError, Stopped
from producers.sources.command import Command, environment
from producers.templates import TemplateError

log = logging.getLogger(__name__)

VARIABLES = ("item", "id", "now")
_FIRST_RETRY_S = 5.0
#: Between tries of a source that fails for long, unless `every` is longer.
_RETRY_CAP_S = 900.0

#: Between tries of a source that refuses our credentials, which a person has to mend.
_REFUSED_RETRY_S = 3600.0


class Pending(NamedTuple):
    """One submit that waits to be made: its tasks, the cursor's text before it and after it, the journal."""

    batch: list[Submission]
    before: str
    after: str
    entries: list[Entry]


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
        self.journal = f"poller:{config.name}"
        self._told_later: deque[Entry] = deque()
        self._put_off: set[str] = set()

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
            wait_s = self._turn()
            self._tell()
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

    def _turn(self) -> float:
        try:
            wait_s = self._poll_if_due()
        except SourceError as error:
            return self._failed(error)
        self._submit_pending()
        return wait_s

    def _poll_if_due(self) -> float:
        if self._pending:
            return 0.0
        text = self.store.read_cursor(self.cursor)
        mark = self._read(text)
        # A clock that was set back must not make the next poll later than one interval from now.
        wait_s = min(mark.due - self.wall(), max(mark.pause, self.config.every))
        if wait_s > 0:
            return wait_s
        begun = self.wall()
        fetched = self.source.fetch(mark.place, lambda: self.bell.stopped)
        self._fault("fetched")
        self._take(text, mark, fetched, begun)
        self._recovered()
        return 0.0

    def poll_now(self, *, dry: bool = False) -> list[Item]:
        """Poll whatever the time; the items that are new, which went in unless `dry`.

        Raises SourceError, Stopped, CursorMovedError and redis.RedisError.
        """
        text = self.store.read_cursor(self.cursor)
        mark, begun = self._read(text), self.wall()
        fetched = self.source.fetch(mark.place, lambda: self.bell.stopped)
        new = list(bookmark.news(mark, fetched, self.config.first))
        if not dry:
            self._take(text, mark, fetched, begun)
            self._submit_pending()
        return new

    def prompt_of(self, item: Item) -> str:
        """What Claude would be told of an item; "" for a Python task. Raises TemplateError."""
        return self.recipe.prompt(self._occasion(item))

    def _failed(self, error: SourceError) -> float:
        """Wait, longer each time; the journal has the first failure of a row, and that it is over."""
        first = not self.trouble.failures
        at_least_s = _REFUSED_RETRY_S if isinstance(error, RefusedError) else error.wait_s
        pause_s = self.trouble.failed(self.clock(), error, at_least_s)
        if first:
            self._told_later.append(poll_fates.failed_entry(self.journal, error))
        return pause_s

    def _recovered(self) -> None:
        if failures := self.trouble.failures:
            self._told_later.append(poll_fates.back_entry(self.journal, failures))
        self.trouble.worked()

    def _read(self, text: str) -> Bookmark:
        try:
            return bookmark.read(text)
        except BookmarkError as error:
            log.error("%s; polling anew, the queue's keys keep items from running twice", error)
            return Bookmark(polled=True)

    def _take(self, text: str, mark: Bookmark, fetched: Fetched, begun: float) -> None:
        """Plan the submits that take an answer in."""
        pause_s = 0.0 if fetched.more else max(self.config.every, fetched.wait_s)
        new = bookmark.news(mark, fetched, self.config.first)
        made = {item.id: made for item in new if (made := self._made(item))}
        put_off = [item for item in new if item.id not in made]
        run = [item for item in new if item.id in made]
        entries = self._left_out(mark, fetched, len(new), put_off)
        for step in bookmark.steps(mark, fetched, run, put_off, begun + pause_s, pause_s):
            after = step.bookmark.text()
            batch = [made[item.id] for item in step.items]
            places = enumerate(step.items, 1)
            told = [poll_fates.run_entry(self.journal, item, place) for place, item in places]
            self._pending.append(Pending(batch, text, after, [*entries, *told]))
            text, entries = after, []
        if new or not mark.polled:
            log.info("%d items, %d of them new", len(fetched.items), len(run))

    def _left_out(
        self, mark: Bookmark, fetched: Fetched, new: int, put_off: Sequence[Item]
    ) -> list[Entry]:
        """What the journal says of items that become no task."""
        unheard = [item for item in put_off if item.id not in self._put_off]
        self._put_off.update(item.id for item in put_off)
        left_out = 0 if mark.polled else len(fetched.items) - new
        first = poll_fates.first_entries(self.journal, left_out, self.config.first)
        return [*poll_fates.put_off_entries(self.journal, unheard), *first]

    def _occasion(self, item: Item) -> Occasion:
        key = f"poll:{self.config.name}:{bookmark.remembered(item.id)}"
        values = {"item": item.data, "id": item.id, "now": _iso(self.wall())}
        context = {"item": item.data}
        return Occasion(uuid.uuid4().hex, key, values, args=(item.data,), context=context)

    def _made(self, item: Item) -> Submission | None:
        try:
            return self.recipe.submission(self._occasion(item))
        except TemplateError as error:
            log.error("item %s is put off until its prompt can be made: %s", item.id, error)
            return None

    def _submit_pending(self) -> None:
        while self._pending and not self.bell.stopped:
            batch, expected, after, entries = self._pending[0]
            self.store.submit(batch, Cursor(self.cursor, expected, after), entries)
            self._fault("submitted")
            self._pending.popleft()

    def _tell(self) -> None:
        """Of failures, which move no cursor: said twice at worst, never lost to a Redis that is away."""
        while self._told_later:
            self.store.submit([], None, [self._told_later[0]])
            self._told_later.popleft()

    def describe(self) -> dict[str, Any]:
        """What `status` may show."""
        waits = (self.redis, self.trouble)
        return {
            "every": float(self.config.every),
            "waiting": sum(len(pending.batch) for pending in self._pending),
            "problems": [wait.problem for wait in waits if wait.problem],
        }


def _iso(unix_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix_s))


def source_of(config: types.Poller, settings: types.Settings) -> Source:
    """The source that an entry names. Raises SourceError for one that cannot work as it is written."""
    if config.command is not None:
        env = environment(settings.environ, config.options.get("env", ()))
        return Command(config.command, config.timeout, settings.base, env)
    # Only a web source pays for what speaks to the web.
    from producers.sources.web import Web

    web = Web(config.timeout)
    if config.http is not None:
        from producers.sources.http import Http

        return Http(config.http, web, settings.environ)
    from producers.sources.feed import Feed

    assert config.feed is not None
    return Feed(config.feed, web, settings.environ)


def run(settings: types.Settings, name: str, ready: Callable[[], None]) -> int:
    """Run the poller `name` until a signal; the exit status of the process."""
    bell = Bell()
    stop_on_signals(bell)
    fault = settings.environ.get("BATON_FAULT", "")
    faults = producers.faults.from_text(fault, "poller", settings.var)
    try:
        poller = poller_of(settings, name, bell=bell, faults=faults)
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
    return Poller(config, source_of(config, settings), tasks.huey.store, recipe, **more)
