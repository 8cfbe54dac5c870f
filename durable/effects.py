"""What an attempt causes after its body has ended, collected so that settle can do all of it in one step."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from durable.costs import Cost
from durable.records import Lease, Submission


@dataclass
class Effects:
    """One attempt in this thread: its lease, and what Huey and the body said about its end."""

    lease: Lease
    task: Any = None  # as Huey executes it
    in_body: bool = False  # here the user's code speaks, and what it says goes out at once
    after_body: bool = False  # from here on, what Huey enqueues is part of settle
    result: bytes = b""
    member_value: bytes = b""  # what a chord gets of it
    values: dict[str, bytes] = field(
        default_factory=dict
    )  # of other keys: a broken pipeline's rest
    error: dict[str, Any] | None = None
    retry_body: bytes = b""
    retry_ms: int = 0
    retrying: bool = False
    exception: BaseException | None = None
    signal: str = ""
    follow: list[Submission] = field(default_factory=list)
    tidy: list[str] = field(default_factory=list)  # values that Huey removes at the end
    said: list[Callable[[], None]] = field(default_factory=list)  # signals that tell of the end
    costs: list[Cost] = field(default_factory=list)  # what the attempt took
    session: str = ""
    note: str = ""  # what a person should know about a success

    def repeats(self, task: Any) -> bool:
        """Whether it is the error handler of an attempt that others follow, each of which may send it again."""
        handler = self.task.on_error if self.after_body and self.task is not None else None
        return handler is not None and handler.id == task.id and bool(self.task.retries)

    def announce(self) -> None:
        """Send the signals of the end, now that it is written."""
        while self.said:
            self.said.pop(0)()


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
