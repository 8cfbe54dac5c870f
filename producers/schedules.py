"""The schedules of baton.yaml and of Huey's periodic tasks: what fires them, and what a tick becomes."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import settings as types
from durable.cronspec import CronSpec
from durable.records import Submission
from producers.cron import Cron
from producers.recipe import Makers, Occasion, Recipe
from producers.ticks import Clockwork, CronClock, MinuteClock, Place, iso
from settings.zones import zone

VARIABLES = ("name", "tick", "now")


class Schedule:
    """One schedule at work: its clockwork, what a tick becomes, and where it stands."""

    def __init__(self, name: str, clock: Clockwork, make: Callable[[Occasion], Submission]) -> None:
        self.name, self.clock, self.make = name, clock, make
        self.cursor = f"schedule:{name}"
        self.text = ""  # of the durable cursor, as last seen
        self.place: Place | None = None
        self.due = dt.datetime.min.replace(tzinfo=dt.UTC)

    def stand(self, text: str, place: Place) -> None:
        """Take over where the durable cursor stands."""
        self.text, self.place = text, place
        self.due = self.clock.next(place.at)

    def occasion(self, tick: dt.datetime, now: dt.datetime) -> Occasion:
        """What a tick tells its task."""
        values = {"name": self.name, "tick": iso(tick), "now": iso(now)}
        key = f"tick:{self.name}:{iso(tick)}"
        return Occasion(uuid.uuid4().hex, key, values, context={"tick": iso(tick)})


def from_settings(
    entries: Mapping[str, types.Schedule], environ: Mapping[str, str], makers: Makers
) -> list[Schedule]:
    """The schedules of baton.yaml. Raises CronError, TemplateError and UnknownTaskError."""
    found = []
    for name, entry in entries.items():
        spec = CronSpec(entry.cron, entry.timezone)
        recipe = Recipe(entry, "schedule", VARIABLES, makers)
        clock = CronClock(Cron(spec, zone(entry.timezone, environ)))
        found.append(Schedule(name, clock, recipe.submission))
    return found


def from_huey(huey: Any, environ: Mapping[str, str], makers: Makers) -> list[Schedule]:
    """Huey's periodic tasks: exact with `cron(...)`, minute by minute with any other validator."""
    found = []
    for task in huey._registry.periodic_tasks:
        kind = type(task)
        name = huey._registry.task_to_string(kind)
        spec = getattr(kind, "cron_spec", None)
        clock: Clockwork
        if isinstance(spec, CronSpec):
            clock = CronClock(Cron(spec, zone(spec.timezone, environ)))
        else:
            clock = MinuteClock(task.validate_datetime, huey.utc)
        found.append(Schedule(name, clock, _call(kind, name, makers)))
    return found


def _call(kind: Any, name: str, makers: Makers) -> Callable[[Occasion], Submission]:
    queue = getattr(kind, "queue", "default")
    priority = getattr(kind, "default_priority", None) or 0

    def make(occasion: Occasion) -> Submission:
        return makers.task_submission(
            name,
            (),
            id=occasion.id,
            key=occasion.key,
            source=f"schedule:{name}",
            queue=queue,
            priority=priority,
        )

    return make
