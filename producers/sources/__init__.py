"""Where a poller's items come from. A source is one small module with a class that can `fetch`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class Item:
    """One thing that a source told about. `id` alone decides whether it is new."""

    id: str
    data: dict[str, Any]


@dataclass(frozen=True)
class Fetched:
    """A whole answer of a source, and the place from which it wants to go on next time.

    `again` is the place for an answer of which not all could be taken: it asks for these items once more.
    """

    items: tuple[Item, ...]
    place: str = ""
    more: bool = False  # there is more to fetch from `place` on, at once
    wait_s: float = 0.0  # how long the source asks to be left alone
    again: str | None = None  # None: `place` serves for that as well


class SourceError(Exception):
    """The source gave no whole answer. A failed poll is never an empty one: nothing is taken from it.

    `wait_s` is how long the source asks to be left alone.
    """

    def __init__(self, problem: str, wait_s: float = 0.0) -> None:
        super().__init__(problem)
        self.wait_s = wait_s


class RefusedError(SourceError):
    """The source does not accept our credentials: a person has to see to it."""


class Stopped(Exception):  # noqa: N818  # not an error: the process was asked to stop
    """The fetch was left because the process is to end."""


class Source(Protocol):
    """One place to ask."""

    def fetch(self, place: str, stopped: Callable[[], bool]) -> Fetched:
        """Ask once, from `place` on ("" at first). Raises SourceError (RefusedError) and, when `stopped`, Stopped."""
