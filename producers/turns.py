"""What a schedule's turn comes to: which ticks run with which tasks, what is said of each, where it leads.

Nothing is submitted here.
"""

from __future__ import annotations

import datetime as dt
import logging
from typing import NamedTuple

from durable.records import Cursor, Entry, Step, Submission
from producers.catching_up import Decision, decide
from producers.fates import failed_entry, passed_entry, run_entry
from producers.schedules import Schedule
from producers.templates import TemplateError
from producers.ticks import Place, iso

log = logging.getLogger(__name__)


class Turn(NamedTuple):
    """The step to submit, the ticks that run in it, and where it leads."""

    schedule: Schedule
    found: Decision
    place: Place
    text: str
    ticks: list[dt.datetime]
    step: Step


def planned(schedule: Schedule, now: dt.datetime) -> Turn | None:
    """What is to be done for a schedule; None for a time to look again, without a tick."""
    assert schedule.place is not None
    found = decide(schedule.clock, schedule.place.at, now - schedule.delay, schedule.policy)
    if found.up_to is None:
        schedule.look_at(found.due)
        return None
    for passed in found.passed:
        log.warning("%s: %s", schedule.name, passed)
    made, entries = _made(schedule, found, now)
    place = Place(found.up_to.replace(microsecond=0), schedule.clock.text)
    cursor = Cursor(schedule.cursor, schedule.text, place.text())
    step = Step([task for _, task in made], cursor, entries)
    return Turn(schedule, found, place, cursor.next, [tick for tick, _ in made], step)


def _made(
    schedule: Schedule, found: Decision, now: dt.datetime
) -> tuple[list[tuple[dt.datetime, Submission]], list[Entry]]:
    """The ticks that run with their tasks, and what the journal says of every tick."""
    made: list[tuple[dt.datetime, Submission]] = []
    entries = [passed_entry(schedule, passed) for passed in found.passed]
    for tick in found.run:
        try:
            made.append((tick, schedule.task_of(tick, now)))
        except TemplateError as error:
            log.error("%s: the tick of %s is skipped: %s", schedule.name, iso(tick), error)
            entries.append(failed_entry(schedule, tick, error))
        else:
            entries.append(run_entry(schedule, tick, now, len(made)))
    return made, entries
