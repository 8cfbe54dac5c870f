"""When a cron expression fires next and fired last, as in Debian's cron. Pure: no clock, no I/O.

croniter finds the matching times of a wall clock; the rules for clock changes are here (cron(8) of
Debian, as cronsim implements them):

* Minute and hour both named: a time inside a skipped hour fires once, right after it; a time inside
  a repeated hour fires once, the first time.
* Minute or hour beginning with a star: real time counts. A skipped hour has no ticks, a repeated
  one has them twice.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from croniter import croniter

from durable.cronspec import CronSpec

_DAY_FIELDS = (2, 4)
_SECOND = dt.timedelta(seconds=1)
#: Two changes of a zone's offset are further apart than this.
_STRIDE = dt.timedelta(days=1)
#: No zone ever moved its clock by more: Samoa left out a whole day in 2011.
_LARGEST_CHANGE = dt.timedelta(hours=25)


class Cron:
    """The ticks of one expression in one zone; all instants are aware datetimes in UTC."""

    def __init__(self, expr: str | CronSpec, tz: dt.tzinfo) -> None:
        """Raises CronError for an expression that cannot be read."""
        self.spec = expr if isinstance(expr, CronSpec) else CronSpec(expr)
        self.tz = tz
        self._wall_clock = croniter(_written_out(self.spec), implement_cron_bug=True)

    def next(self, after: dt.datetime) -> dt.datetime:
        """The first tick later than `after`."""
        start = after.astimezone(dt.UTC).replace(microsecond=0)
        return self._next_real(start) if self.spec.wildcard else self._next_fixed(start)

    def previous(self, at: dt.datetime) -> dt.datetime:
        """The last tick at or before `at`."""
        end = at.astimezone(dt.UTC).replace(microsecond=0)
        return self._previous_real(end) if self.spec.wildcard else self._previous_fixed(end)

    def between(self, after: dt.datetime, until: dt.datetime) -> Iterator[dt.datetime]:
        """Every tick later than `after` and not later than `until`."""
        tick = self.next(after)
        while tick <= until:
            yield tick
            tick = self.next(tick)

    # -- wall-clock times, without a zone

    def _following(self, wall: dt.datetime) -> dt.datetime:
        found: dt.datetime = self._wall_clock.get_next(dt.datetime, start_time=wall)
        return found

    def _preceding(self, wall: dt.datetime) -> dt.datetime:
        found: dt.datetime = self._wall_clock.get_prev(dt.datetime, start_time=wall)
        return found

    def _wall(self, moment: dt.datetime) -> dt.datetime:
        return moment.astimezone(self.tz).replace(tzinfo=None, fold=0)

    def _offset(self, moment: dt.datetime) -> dt.timedelta:
        return moment.astimezone(self.tz).utcoffset() or dt.timedelta()

    # -- minute and hour named

    def _next_fixed(self, after: dt.datetime) -> dt.datetime:
        wall = self._following(self._wall(after))
        while (tick := self._instant(wall)) <= after:  # in the repeated hour
            wall = self._following(wall)
        return tick

    def _previous_fixed(self, at: dt.datetime) -> dt.datetime:
        repeated = at.astimezone(self.tz).fold  # later wall-clock times were here before
        wall = self._preceding(self._wall(at) + (_LARGEST_CHANGE if repeated else _SECOND))
        while (tick := self._instant(wall)) > at:
            wall = self._preceding(wall)
        return tick

    def _instant(self, wall: dt.datetime) -> dt.datetime:
        """The first instant at which clocks show `wall`, or the end of the gap that skipped it."""
        tick = wall.replace(tzinfo=self.tz, fold=0).astimezone(dt.UTC)
        if self._wall(tick) == wall:
            return tick
        # fold=0 reads a time in a gap with the offset from before it, and so lands after it.
        return self._change(tick - _LARGEST_CHANGE, tick) or tick

    # -- real time

    def _next_real(self, after: dt.datetime) -> dt.datetime:
        start, wall = after, self._wall(after)
        while True:
            tick = _utc(self._following(wall), self._offset(start))
            change = self._first_change(start, tick)
            if change is None:
                return tick
            start, wall = change, self._wall(change) - _SECOND  # the change itself may be a tick

    def _previous_real(self, at: dt.datetime) -> dt.datetime:
        end, wall = at, self._wall(at) + _SECOND
        while True:
            tick = _utc(self._preceding(wall), self._offset(end))
            change = self._last_change(tick, end)
            if change is None:
                return tick
            end = change - _SECOND
            wall = self._wall(end) + _SECOND

    def _first_change(self, start: dt.datetime, end: dt.datetime) -> dt.datetime | None:
        """The first instant in (start, end] with another offset than `start`."""
        while start < end:
            stop = min(start + _STRIDE, end)
            if change := self._change(start, stop):
                return change
            start = stop
        return None

    def _last_change(self, start: dt.datetime, end: dt.datetime) -> dt.datetime | None:
        """The last instant in (start, end] at which a new offset began."""
        while start < end:
            stop = max(end - _STRIDE, start)
            if change := self._change(stop, end):
                return change
            end = stop
        return None

    def _change(self, low: dt.datetime, high: dt.datetime) -> dt.datetime | None:
        """The second in (low, high] at which the offset becomes that of `high`, by bisection."""
        offset = self._offset(high)
        if self._offset(low) == offset:
            return None
        while high - low > _SECOND:
            middle = low + (high - low) // 2
            middle = middle.replace(microsecond=0)
            low, high = (low, middle) if self._offset(middle) == offset else (middle, high)
        return high


def _utc(wall: dt.datetime, offset: dt.timedelta) -> dt.datetime:
    return (wall - offset).replace(tzinfo=dt.UTC)


def _written_out(spec: CronSpec) -> str:
    """The expression with every range as a list, so that croniter has only stars to interpret."""
    places = enumerate(zip(spec.fields, spec.values, strict=True))
    return " ".join(_field(place, text, values) for place, (text, values) in places)


def _field(place: int, text: str, values: frozenset[int]) -> str:
    if text.startswith("*") and "*" in text.split(","):
        return "*"
    if text.startswith("*") and place in _DAY_FIELDS:
        return text  # its star decides whether both day fields must match
    return ",".join(str(value) for value in sorted(values))
