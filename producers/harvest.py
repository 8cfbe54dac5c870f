"""What becomes of a source's answer: its new items as tasks, and the submits that take them in one by one.

Nothing is submitted here, and nothing asked.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Sequence
from typing import NamedTuple

import settings as types
from durable.errors import CodecError
from durable.records import Entry, Submission
from producers import bookmark, poll_fates
from producers.bookmark import Bookmark, Timing
from producers.recipe import Occasion, Recipe
from producers.sources import Fetched, Item
from producers.templates import TemplateError

log = logging.getLogger(__name__)

VARIABLES = ("item", "id", "now")


class Pending(NamedTuple):
    """One submit that waits to be made: its tasks, the cursor's text before it and after it, the journal."""

    batch: list[Submission]
    before: str
    after: str
    entries: list[Entry]


class Harvest:
    """The answers of one source."""

    def __init__(self, config: types.Poller, recipe: Recipe, wall: Callable[[], float]) -> None:
        self.config, self.recipe, self._wall = config, recipe, wall
        self.journal = f"poller:{config.name}"
        self.put_off: frozenset[str] = (
            frozenset()
        )  # ids of the last answer, whose prompt cannot be made
        self._why_not: dict[str, str] = {}  # the reason of each

    def plan(self, text: str, mark: Bookmark, fetched: Fetched, timing: Timing) -> list[Pending]:
        """The submits that take an answer in, from the cursor's `text`, whose bookmark is `mark`."""
        new = bookmark.news(mark, fetched, self.config.first)
        self._why_not.clear()
        made = {item.id: made for item in new if (made := self._made(item))}
        put_off = [item for item in new if item.id not in made]
        run = [item for item in new if item.id in made]
        entries = self._left_out(mark, fetched, len(new), put_off)
        planned = []
        for step in bookmark.steps(mark, fetched, run, put_off, timing):
            after = step.bookmark.text()
            batch = [made[item.id] for item in step.items]
            places = enumerate(step.items, 1)
            told = [poll_fates.run_entry(self.journal, item, place) for place, item in places]
            planned.append(Pending(batch, text, after, [*entries, *told]))
            text, entries = after, []
        if new or not mark.polled:
            log.info("%d items, %d of them new", len(fetched.items), len(run))
        return planned

    def prompt_of(self, item: Item) -> str:
        """What Claude would be told of an item; "" for a Python task. Raises TemplateError."""
        return self.recipe.prompt(self._occasion(item))

    def _left_out(
        self, mark: Bookmark, fetched: Fetched, new: int, put_off: Sequence[Item]
    ) -> list[Entry]:
        """What the journal says of items that become no task."""
        unheard = [item for item in put_off if item.id not in self.put_off]
        self.put_off = frozenset(item.id for item in put_off)
        left_out = 0 if mark.polled else len(fetched.items) - new
        first = poll_fates.first_entries(self.journal, left_out, self.config.first)
        why = self._why_not
        told = [poll_fates.put_off_entry(self.journal, item, why[item.id]) for item in unheard]
        return [*told, *first]

    def _occasion(self, item: Item) -> Occasion:
        key = f"poll:{self.config.name}:{bookmark.remembered(item.id)}"
        values = {"item": item.data, "id": item.id, "now": _iso(self._wall())}
        context = {"item": item.data}
        return Occasion(uuid.uuid4().hex, key, values, args=(item.data,), context=context)

    def _made(self, item: Item) -> Submission | None:
        try:
            return self.recipe.submission(self._occasion(item))
        except (TemplateError, CodecError) as error:
            self._why_not[item.id] = str(error)
            if item.id not in self.put_off:
                log.error("item %s is put off until its prompt can be made: %s", item.id, error)
            return None


def _iso(unix_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix_s))
