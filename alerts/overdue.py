"""Ticks that are due and that nobody has fired: the one thing that a scheduler which is down cannot tell itself."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import settings as types
from alerts.messages import Condition
from alerts.times import DOWN_S
from durable.store import LeaseStore
from producers.ticks import PlaceError, iso, read_place
from producers.timing import Timing, timing_of


class Overdue:
    """The schedules of baton.yaml against their durable cursors."""

    def __init__(self, settings: types.Settings, store: LeaseStore) -> None:
        """Raises CronError for a schedule that the scheduler refuses as well."""
        self.store = store
        entries = settings.schedules.items()
        self._timings = {name: timing_of(entry, settings.environ) for name, entry in entries}
        self._due: dict[str, tuple[str, dt.datetime | None]] = {}
        self._seen: dict[str, tuple[dt.datetime, int]] = {}  # overdue for us since

    def conditions(self, now_ms: int, patience_s: float) -> Sequence[Condition]:
        """Those whose next tick has been due for longer than that. Raises redis.RedisError.

        Weak at first: after a boot the scheduler begins as this app does, and has yet to catch up.
        """
        now = dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC)
        found = []
        for name, timing in self._timings.items():
            due = self._next(name, timing)
            if due is None or (now - due).total_seconds() <= patience_s:
                self._seen.pop(name, None)
                continue
            first, since = self._seen.get(name, (due, now_ms))
            self._seen[name] = (due, since if first == due else now_ms)
            weak = now_ms - self._seen[name][1] < DOWN_S * 1000
            found.append(_condition(name, due, weak=weak))
        return found

    def _next(self, name: str, timing: Timing) -> dt.datetime | None:
        """When its next tick fires, by where it stands; None while no scheduler has begun with it."""
        text = self.store.read_cursor(f"schedule:{name}")
        known = self._due.get(name)
        if known is None or known[0] != text:
            known = self._due[name] = text, _after(text, timing)
        return known[1]


def _after(text: str, timing: Timing) -> dt.datetime | None:
    try:
        place = read_place(text)
    except PlaceError:  # none yet, or not ours
        return None
    if place.spec != timing.clock.text:
        return None
    due = timing.clock.next(place.at)
    return due + timing.delay if timing.clock.is_tick(due) else None


def _condition(name: str, due: dt.datetime, *, weak: bool) -> Condition:
    return Condition(
        key=f"overdue|{name}|{iso(due)}",
        kind="schedule",
        subject=f"schedule:{name}",
        text=f"the tick of {name} of {iso(due)} has not been fired: no scheduler is at work",
        since_ms=int(due.timestamp() * 1000),
        remedy="./baton status",
        over="its ticks are fired again",
        weak=weak,
    )
