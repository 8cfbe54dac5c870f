"""What a schedule owes at an instant. Pure: the clock is an argument, nothing is submitted here."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from producers.cron import Cron

#: Late ticks are counted up to here; beyond it a log line says "more than".
COUNTED = 1000
_MINUTE = dt.timedelta(minutes=1)


class Clockwork(Protocol):
    """What a schedule's ticks come from."""

    def next(self, after: dt.datetime) -> dt.datetime:
        """The first tick later than `after`; for one that finds none soon, a time to look again."""

    def previous(self, at: dt.datetime) -> dt.datetime:
        """The last tick at or before `at`; for one that finds none there, a time before it."""

    def is_tick(self, moment: dt.datetime) -> bool:
        """Whether what was found is a tick, and not just a time to look again."""

    @property
    def text(self) -> str:
        """What it says, and in which zone: another text is an edited schedule."""


class CronClock:
    """The ticks of a cron expression."""

    def __init__(self, cron: Cron) -> None:
        self.cron = cron
        self.next, self.previous = cron.next, cron.previous

    def is_tick(self, moment: dt.datetime) -> bool:
        """Always: cron's next time is a tick."""
        return True

    @property
    def text(self) -> str:
        """The expression and its zone."""
        return f"{self.cron.spec.expr} {self.cron.tz}"


class MinuteClock:
    """The ticks of a validator such as huey.crontab(): whichever minutes it agrees to."""

    #: Minutes looked through at once; a validator takes microseconds, but may never agree.
    AHEAD = 1440

    def __init__(self, validate: Callable[[dt.datetime], Any], utc: bool) -> None:
        """`utc` says what Huey passes to its validators: naive UTC, or naive local time."""
        self._validate, self._utc = validate, utc

    def next(self, after: dt.datetime) -> dt.datetime:
        """The first minute that it agrees to, or the end of what was looked through."""
        moment = after.replace(second=0, microsecond=0)
        for _ in range(self.AHEAD):
            moment += _MINUTE
            if self.is_tick(moment):
                break
        return moment

    def previous(self, at: dt.datetime) -> dt.datetime:
        """The last minute that it agreed to, or the beginning of what was looked through."""
        moment = at.replace(second=0, microsecond=0)
        for _ in range(self.AHEAD):
            if self.is_tick(moment):
                break
            moment -= _MINUTE
        return moment

    def is_tick(self, moment: dt.datetime) -> bool:
        """Whether the validator agrees to this minute."""
        local = moment if self._utc else moment.astimezone()
        return bool(self._validate(local.replace(tzinfo=None)))

    @property
    def text(self) -> str:
        """A validator cannot be compared with another one."""
        return "validator"


@dataclass(frozen=True)
class Place:
    """Where a schedule stands: nothing at or before `at` is owed any more."""

    at: dt.datetime
    spec: str  # the clockwork's text when it was written

    def text(self) -> str:
        """The cursor that stands for it."""
        return json.dumps({"at": iso(self.at), "spec": self.spec})


class PlaceError(ValueError):
    """The text is no place of ours."""


def read_place(text: str) -> Place:
    """The place in a cursor's text. Raises PlaceError."""
    try:
        fields = json.loads(text)
        at = dt.datetime.fromisoformat(fields["at"]).astimezone(dt.UTC)
        return Place(at, str(fields["spec"]))
    except (ValueError, KeyError, TypeError) as error:
        raise PlaceError(f"unreadable cursor: {text[:80]!r}") from error


@dataclass(frozen=True)
class Owed:
    """The ticks between a place and now: how many, and the first and last of them."""

    count: int
    due: dt.datetime  # when to look again: the next tick, as a rule
    first: dt.datetime | None = None
    last: dt.datetime | None = None

    def __str__(self) -> str:
        if self.first is None or self.last is None:
            return "none"
        many = f"more than {COUNTED}" if self.count > COUNTED else str(self.count)
        span = iso(self.last) if self.count == 1 else f"{iso(self.first)} to {iso(self.last)}"
        return f"{many} ({span})"


def owed(clock: Clockwork, after: dt.datetime, now: dt.datetime) -> Owed:
    """What a schedule owes at `now` when it was last settled up to `after`."""
    count, first, last = 0, None, None
    due = clock.next(after)
    while due <= now:
        if clock.is_tick(due):
            count, first, last = count + 1, first or due, due
        if count > COUNTED:
            latest = clock.previous(now)
            return Owed(count, clock.next(now), first, latest if clock.is_tick(latest) else last)
        due = clock.next(due)
    return Owed(count, due, first, last)


def iso(moment: dt.datetime) -> str:
    """UTC to the minute, as tick keys have it: 2026-11-22T09:00Z; seconds only where there are any."""
    spec = "seconds" if moment.second or moment.microsecond else "minutes"
    return moment.astimezone(dt.UTC).replace(tzinfo=None).isoformat(timespec=spec) + "Z"
