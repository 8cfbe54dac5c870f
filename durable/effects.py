"""What an attempt causes after its body has ended, collected so that settle can do all of it in one step."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from durable.records import Lease, Submission


@dataclass
class Effects:
    """One attempt in this thread: its lease, and what Huey and the body said about its end."""

    lease: Lease
    after_body: bool = False  # from here on, what Huey enqueues is part of settle
    result: bytes = b""
    error: dict[str, Any] | None = None
    retry_body: bytes = b""
    retry_ms: int = 0
    retrying: bool = False
    exception: BaseException | None = None
    signal: str = ""
    follow: list[Submission] = field(default_factory=list)
    tidy: list[str] = field(default_factory=list)  # values that Huey removes once the body has run
    cost_usd: float = 0.0
    session: str = ""
    note: str = ""  # what a person should know about a success


class _Current(threading.local):
    effects: Effects | None = None


_current = _Current()


def current() -> Effects | None:
    """The attempt that this thread runs, if any."""
    return _current.effects


def begin(lease: Lease) -> Effects:
    """From now on, this thread runs the attempt of this lease."""
    _current.effects = Effects(lease)
    return _current.effects


def end() -> None:
    """This thread runs no attempt any more."""
    _current.effects = None
