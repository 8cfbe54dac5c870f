"""What a schedule's journal says of its ticks. Pure."""

from __future__ import annotations

import datetime as dt

from durable.records import Entry
from producers.catching_up import GRACE, Passed
from producers.schedules import Schedule
from producers.ticks import iso


def run_entry(schedule: Schedule, tick: dt.datetime, now: dt.datetime, place: int) -> Entry:
    """Of a tick whose task is at `place` in the batch (from 1)."""
    late = now - schedule.delay - tick
    return Entry(
        journal=schedule.source,
        what="late" if late > GRACE else "run",
        about=iso(tick),
        why=f"{late.total_seconds():.0f} s after its time" if late > GRACE else "",
        place=place,
        alone=schedule.policy.overlap == "skip",
    )


def passed_entry(schedule: Schedule, passed: Passed) -> Entry:
    """Of ticks that do not run."""
    return Entry(
        journal=schedule.source,
        what=passed.what,
        about=iso(passed.first),
        until=iso(passed.last) if passed.count > 1 else "",
        count=passed.count,
        why=passed.why,
    )


def failed_entry(schedule: Schedule, tick: dt.datetime, error: Exception) -> Entry:
    """Of a tick that could not be made a task."""
    return Entry(journal=schedule.source, what="failed", about=iso(tick), why=str(error))
