"""What a poller remembers between polls, as the text of its durable cursor. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from producers.sources import Fetched, Item

#: Ids kept: those of the latest answer, and the latest before, up to so many. The queue's own keys are the
#: second net.
REMEMBERED = 10_000
#: Items a submit: one Lua script must not hold Redis up for long.
AT_ONCE = 500
_LONGEST_ID = 40

First = Literal["baseline", "all"] | int


class BookmarkError(ValueError):
    """The text is no bookmark of ours."""


@dataclass(frozen=True)
class Bookmark:
    """Where a poller stands. `due` is unix seconds; `seen` has the ids that are no longer new."""

    polled: bool = False  # whether a first poll has been taken in, to its last page
    due: float = 0.0
    place: str = ""  # what the source said that it goes on from
    seen: tuple[str, ...] = ()
    pause: float = 0.0  # seconds from the last poll to `due`: it is never further away than this
    every: float = 0.0  # the interval as it was written then
    asked: float = 0.0  # how long the source asked to be left alone, s
    more: bool = False  # there is more of the same answer: `every` is not waited for
    taken: int = 0  # items run so far in a first poll that is not at its end
    part: int = 0  # parts of an answer that are in, while it is taken in
    of: str = ""  # the source as it is written; another one is asked at once

    def text(self) -> str:
        """The cursor that stands for it."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return json.dumps(fields | {"due": round(self.due, 3)}, separators=(",", ":"))

    def due_when(self, every: float, of: str) -> float:
        """When the next poll is due, by the interval and the source as they are written now."""
        if self.of and self.of != of:
            return 0.0
        if self.more or not self.every or self.every == every:
            return self.due
        return self.due - self.pause + max(every, self.asked)


def read(text: str) -> Bookmark:
    """The bookmark of a cursor's text; "" is the one before the first poll. Raises BookmarkError."""
    if not text:
        return Bookmark()
    try:
        fields = json.loads(text)
        return Bookmark(
            polled=bool(fields["polled"]),
            due=float(fields["due"]),
            place=str(fields["place"]),
            seen=tuple(str(item) for item in fields["seen"]),
            pause=float(fields.get("pause", 0.0)),
            every=float(fields.get("every", 0.0)),
            asked=float(fields.get("asked", 0.0)),
            more=bool(fields.get("more")),
            taken=int(fields.get("taken", 0)),
            of=str(fields.get("of", "")),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise BookmarkError(f"unreadable cursor: {text[:80]!r}") from error


def remembered(item_id: str) -> str:
    """An id as it is kept: as it is, or its digest where it is long."""
    if len(item_id) <= _LONGEST_ID:
        return item_id
    encoded = item_id.encode("utf-8", "backslashreplace")
    return "blake2b:" + hashlib.blake2b(encoded, digest_size=12).hexdigest()


@dataclass(frozen=True)
class Step:
    """One submit: these items, and the bookmark that it moves to."""

    items: tuple[Item, ...]
    bookmark: Bookmark


def news(bookmark: Bookmark, fetched: Fetched, first: First) -> tuple[Item, ...]:
    """The items to run, in the source's order. At the first poll, all of its pages, `first` decides."""
    known = set(bookmark.seen)
    new: dict[str, Item] = {}
    for item in fetched.items:
        if remembered(item.id) not in known:
            new.setdefault(item.id, item)
    if bookmark.polled or first == "all":
        return tuple(new.values())
    left = 0 if first == "baseline" else max(0, first - bookmark.taken)
    return tuple(new.values())[:left]


@dataclass(frozen=True)
class Timing:
    """When to ask again after an answer, and of which source; see Bookmark."""

    due: float = 0.0
    pause: float = 0.0
    every: float = 0.0
    of: str = ""


def steps(
    bookmark: Bookmark,
    fetched: Fetched,
    run: Sequence[Item],
    put_off: Sequence[Item],
    timing: Timing,
) -> list[Step]:
    """How an answer is taken in: in parts, each with the bookmark that makes it safe to stop there.

    `run` are submitted; `put_off` stay new; all others are no longer new. Until the last part the bookmark
    only counts: the items before it are known by their keys, and need not be written down in each.
    """
    parts = [tuple(run[i : i + AT_ONCE]) for i in range(0, len(run), AT_ONCE)] or [()]
    begun = [replace(bookmark, part=number) for number in range(1, len(parts))]
    whole = _taken_in(bookmark, fetched, run, put_off, timing)
    return [Step(*pair) for pair in zip(parts, [*begun, whole], strict=True)]


def _taken_in(
    bookmark: Bookmark,
    fetched: Fetched,
    run: Sequence[Item],
    put_off: Sequence[Item],
    timing: Timing,
) -> Bookmark:
    later = {item.id for item in put_off}
    ran = {item.id for item in run}
    known = [item for item in fetched.items if item.id not in later and item.id not in ran]
    seen = [remembered(item.id) for item in (*known, *run)]
    polled = bookmark.polled or not fetched.more
    return Bookmark(
        polled=polled,
        due=timing.due,
        place=fetched.again if put_off and fetched.again is not None else fetched.place,
        seen=_merged(bookmark.seen, seen),
        pause=timing.pause,
        every=timing.every,
        asked=fetched.wait_s,
        more=fetched.more,
        taken=0 if polled else bookmark.taken + len(run),
        of=timing.of,
    )


def _merged(before: Sequence[str], now: Sequence[str]) -> tuple[str, ...]:
    """All of `now`, and the latest of what was known before, up to REMEMBERED."""
    latest = dict.fromkeys(now)
    older = [item for item in before if item not in latest]
    room = max(0, REMEMBERED - len(latest))
    return (*older[max(0, len(older) - room) :], *latest)
