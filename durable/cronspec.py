"""A cron expression as people write it, read and checked. producers/cron.py knows when it fires.

Five fields as crontab(5) of Debian has them: minute, hour, day of month, month, day of week.
"""

from __future__ import annotations

import datetime as dt
import difflib
import re
import zoneinfo
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
LONGEST_MONTH = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

#: crontab(5): what each name stands for. @reboot is no time, so it is refused.
NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class Field(NamedTuple):
    """One of the five places: its name, the values it takes, and the first of its names."""

    title: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    first: int = 0


FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of month", 1, 31),
    Field("month", 1, 12, MONTHS, 1),
    Field("day of week", 0, 7, DAYS),
)

_TERM = re.compile(r"(?:(\*)|(\w+)(?:-(\w+))?)(?:/(\d+))?", re.ASCII)


class CronError(ValueError):
    """A cron expression that cannot be read: which one, why, and what to write instead."""

    def __init__(self, expr: str, problem: str) -> None:
        self.expr, self.problem = expr, problem
        super().__init__(f"cron {expr!r}: {problem}")


@dataclass(frozen=True)
class CronSpec:
    """A checked expression and the IANA zone that it is read in (None: the machine's).

    Calling it with a datetime is Huey's `validate_datetime`: whether that minute matches. A
    datetime without a zone is UTC, as Huey's are by default. Building it raises CronError, a
    ValueError.
    """

    expr: str
    timezone: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.expr, str):
            raise CronError(str(self.expr), 'must be text, such as "0 9 * * 1"')
        if self.timezone is not None:
            _check_zone(self.expr, self.timezone)
        self._check_date()

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The five fields in lower case, with @daily and its like written out."""
        text = self.expr.strip().lower()
        if text.startswith("@"):
            return _nickname(self.expr, text)
        fields = tuple(text.split())
        if len(fields) != len(FIELDS):
            raise CronError(self.expr, _wrong_count(fields))
        return fields

    @cached_property
    def values(self) -> tuple[frozenset[int], ...]:
        """For each field, the values that match; Sunday is 0."""
        sets = [
            _read(self.expr, field, text) for field, text in zip(FIELDS, self.fields, strict=True)
        ]
        sets[4] = frozenset(day % 7 for day in sets[4])
        return tuple(sets)

    @property
    def both_days(self) -> bool:
        """Whether both day fields must match, not just one: when either begins with a star."""
        return self.fields[2].startswith("*") or self.fields[4].startswith("*")

    @property
    def wildcard(self) -> bool:
        """Whether minute or hour begins with a star: real time counts through a clock change."""
        return self.fields[0].startswith("*") or self.fields[1].startswith("*")

    def matches(self, wall: dt.datetime) -> bool:
        """Whether the minute that a wall clock shows matches."""
        minutes, hours, days, months, weekdays = self.values
        if wall.minute not in minutes or wall.hour not in hours or wall.month not in months:
            return False
        day, weekday = wall.day in days, wall.isoweekday() % 7 in weekdays
        return (day and weekday) if self.both_days else (day or weekday)

    def __call__(self, moment: dt.datetime) -> bool:
        """Whether the minute of `moment` matches, in the zone of the expression."""
        aware = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
        zone = zoneinfo.ZoneInfo(self.timezone) if self.timezone else None
        return self.matches(aware.astimezone(zone))

    def _check_date(self) -> None:
        _, _, days, months, _ = self.values
        if not self.both_days or any(min(days) <= LONGEST_MONTH[month - 1] for month in months):
            return
        last = max(LONGEST_MONTH[month - 1] for month in months)
        nearest = " ".join((*self.fields[:2], str(last), *self.fields[3:]))
        raise CronError(
            self.expr,
            f"day {min(days)} never comes in month {self.fields[3]}, whose last day is {last}; "
            f"{nearest!r} is the nearest that does",
        )


def _nickname(expr: str, text: str) -> tuple[str, ...]:
    if text in NICKNAMES:
        return tuple(NICKNAMES[text].split())
    raise CronError(expr, f"unknown name; known are {', '.join(NICKNAMES)}")


def _wrong_count(fields: tuple[str, ...]) -> str:
    order = "minute hour day-of-month month day-of-week"
    said = f"has {len(fields)} fields; five are read: {order}"
    if len(fields) == len(FIELDS) + 1:
        rest = " ".join(fields[1:])
        return f"{said}. There are no seconds here; without the first it reads {rest!r}"
    return said


def _check_zone(expr: str, name: str) -> None:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        near = difflib.get_close_matches(name, sorted(zoneinfo.available_timezones()), 1)
        hint = (
            f"did you mean {near[0]!r}?" if near else "write an IANA name such as 'Europe/Berlin'"
        )
        raise CronError(expr, f"no time zone is called {name!r}; {hint}") from error


def _read(expr: str, field: Field, text: str) -> frozenset[int]:
    try:
        return frozenset(value for term in text.split(",") for value in _term(field, term))
    except ValueError as error:
        raise CronError(expr, f"{field.title}: {error}") from error


def _term(field: Field, term: str) -> range:
    match = _TERM.fullmatch(term)
    if not match:
        raise ValueError(f"{term!r} is not a value, a range, a step or *")
    star, low, high, step = match.groups()
    first = field.low if star else _value(field, low)
    last = field.high if star else _value(field, high or low)
    if last < first:
        split = f"{low}-{field.high},{field.low}-{high}"
        raise ValueError(f"{term!r} runs backwards; write {split}")
    if step is None:
        return range(first, last + 1)
    if not star and high is None:
        raise ValueError(f"a step needs a range, such as {low}-{field.high}/{step}")
    if not 0 < int(step) <= field.high - field.low:
        raise ValueError(f"step {step} is not within 1 and {field.high - field.low}")
    return range(first, last + 1, int(step))


def _value(field: Field, text: str) -> int:
    if text in field.names:
        return field.names.index(text) + field.first
    if not text.isdecimal():
        names = f" or {field.names[0]}-{field.names[-1]}" if field.names else ""
        raise ValueError(f"{text!r} is none of {field.low}-{field.high}{names}")
    if not field.low <= int(text) <= field.high:
        raise ValueError(f"{text} is not within {field.low} and {field.high}")
    return int(text)
