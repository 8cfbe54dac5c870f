"""What a schedule owes at an instant. Pure: the clock is an argument, nothing is submitted here."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from dataclasses import dataclass

from producers.clockworks import Clockwork

#: Late ticks are counted up to here.
COUNTED = 1000
_MOMENT = dt.timedelta(microseconds=1)


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
    before: dt.datetime | None = None  # the one before the last; None where there is none


def owed(clock: Clockwork, after: dt.datetime, now: dt.datetime) -> Owed:
    """What a schedule owes at `now` when it was last settled up to `after`."""
    count, first, last, before = 0, None, None, None
    due = clock.next(after)
    while due <= now:
        if clock.is_tick(due):
            count, first, last, before = count + 1, first or due, due, last
        if count > COUNTED:
            return _without_counting(
                clock, now, first or due, Owed(count, due, first, last, before)
            )
        due = clock.next(due)
    return Owed(count, due, first, last, before)


def _without_counting(clock: Clockwork, now: dt.datetime, first: dt.datetime, so_far: Owed) -> Owed:
    """The same when there are many: the last two are looked for from the other end."""
    due, last = clock.next(now), clock.previous(now)
    if not clock.is_tick(last):
        return dataclasses.replace(so_far, due=due)
    before = clock.previous(last - _MOMENT)
    return Owed(so_far.count, due, first, last, before if clock.is_tick(before) else first)


def iso(moment: dt.datetime) -> str:
    """UTC to the minute, as tick keys have it: 2026-11-22T09:00Z; seconds only where there are any."""
    spec = "seconds" if moment.second or moment.microsecond else "minutes"
    return moment.astimezone(dt.UTC).replace(tzinfo=None).isoformat(timespec=spec) + "Z"
