"""What a schedule's ticks come from: a cron expression, an interval, or a validator of Huey's. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any, Protocol

from producers.cron import Cron

_MINUTE = dt.timedelta(minutes=1)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


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

    @property
    def words(self) -> str:
        """The same as people write it."""


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

    @property
    def words(self) -> str:
        """As the text has it."""
        return self.text


class IntervalClock:
    """A tick every so many seconds of UTC, counted from 1970: a restart does not move them."""

    def __init__(self, every_s: float) -> None:
        self._every = dt.timedelta(seconds=every_s)
        self._written = f"{every_s:g}"

    def next(self, after: dt.datetime) -> dt.datetime:
        """The first tick later than `after`."""
        return self.previous(after) + self._every

    def previous(self, at: dt.datetime) -> dt.datetime:
        """The last tick at or before `at`."""
        return at - (at - _EPOCH) % self._every

    def is_tick(self, moment: dt.datetime) -> bool:
        """Always: the next time is a tick."""
        return True

    @property
    def text(self) -> str:
        """The interval in seconds."""
        return f"every {self._written} s"

    @property
    def words(self) -> str:
        """The interval as it is written: every 15m."""
        return f"every {span_words(self._every)}"


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

    @property
    def words(self) -> str:
        """That Python decides."""
        return "a function in Python"


def span_words(span: dt.timedelta) -> str:
    """A span as baton.yaml has it: 1d, 90m, 45s."""
    seconds = span.total_seconds()
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"
