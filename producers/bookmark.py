"""What a poller remembers between polls, as the text of its durable cursor. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from producers.sources import Fetched, Item

#: Ids kept beside those of the latest answer. The queue's own keys are the second net.
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

    polled: bool = False  # whether a first poll has been taken in
    due: float = 0.0
    place: str = ""  # what the source said that it goes on from
    seen: tuple[str, ...] = ()
    pause: float = 0.0  # seconds from the last poll to `due`: it is never further away than this

    def text(self) -> str:
        """The cursor that stands for it."""
        fields = {
            "polled": self.polled,
            "due": round(self.due, 3),
            "pause": self.pause,
            "place": self.place,
        }
        return json.dumps({**fields, "seen": self.seen}, separators=(",", ":"))


def read(text: str) -> Bookmark:
    """The bookmark of a cursor's text; "" is the one before the first poll. Raises BookmarkError."""
    if not text:
        return Bookmark()
    try:
        fields = json.loads(text)
        seen = tuple(str(item) for item in fields["seen"])
        due, pause = float(fields["due"]), float(fields.get("pause", 0.0))
        return Bookmark(bool(fields["polled"]), due, str(fields["place"]), seen, pause)
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
    """The items to run, in the source's order. At the first poll `first` decides."""
    known = set(bookmark.seen)
    new: dict[str, Item] = {}
    for item in fetched.items:
        if remembered(item.id) not in known:
            new.setdefault(item.id, item)
    if bookmark.polled or first == "all":
        return tuple(new.values())
    return tuple(new.values())[: 0 if first == "baseline" else first]


def steps(
    bookmark: Bookmark,
    fetched: Fetched,
    run: Sequence[Item],
    put_off: Sequence[Item],
    due: float,
    pause: float = 0.0,
) -> list[Step]:
    """How an answer is taken in: in parts, each with the bookmark that makes it safe to stop there.

    `run` are submitted; `put_off` stay new; all others are no longer new.
    """
    parts = [tuple(run[i : i + AT_ONCE]) for i in range(0, len(run), AT_ONCE)] or [()]
    later = {item.id for item in (*run, *put_off)}
    seen = [remembered(item.id) for item in fetched.items if item.id not in later]
    found = []
    for part in parts:
        seen += [remembered(item.id) for item in part]
        known = _merged(bookmark.seen, seen)
        found.append(Step(part, Bookmark(True, place=bookmark.place, seen=known)))
    last = replace(found[-1].bookmark, due=due, pause=pause, place=fetched.place)
    found[-1] = replace(found[-1], bookmark=last)
    return found


def _merged(before: Sequence[str], now: Sequence[str]) -> tuple[str, ...]:
    """All of `now`, and the latest of what was known before, up to REMEMBERED."""
    latest = dict.fromkeys(now)
    older = [item for item in before if item not in latest]
    room = max(0, REMEMBERED - len(latest))
    return (*older[max(0, len(older) - room) :], *latest)
