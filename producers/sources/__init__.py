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
    """A whole answer of a source, and the place from which it wants to go on next time."""

    items: tuple[Item, ...]
    place: str = ""


class SourceError(Exception):
    """The source gave no whole answer. A failed poll is never an empty one: nothing is taken from it."""


class Stopped(Exception):  # noqa: N818  # not an error: the process was asked to stop
    """The fetch was left because the process is to end."""


class Source(Protocol):
    """One place to ask."""

    def fetch(self, place: str, stopped: Callable[[], bool]) -> Fetched:
        """Ask once, from `place` on ("" at first). Raises SourceError and, when `stopped`, Stopped."""
