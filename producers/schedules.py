"""The schedules of baton.yaml and of Huey's periodic tasks: what fires them, and what a tick becomes."""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

import settings as types
from durable.cronspec import CronError, CronSpec
from durable.records import Submission
from producers.catching_up import Policy
from producers.clockworks import Clockwork, CronClock, MinuteClock
from producers.cron import Cron
from producers.recipe import Makers, Occasion, Recipe
from producers.ticks import Place, iso
from producers.timing import Timing, timing_of
from settings.zones import zone

VARIABLES = ("name", "tick", "now")


class Schedule:
    """One schedule at work: its timing, what a tick becomes, and where it stands."""

    def __init__(self, name: str, timing: Timing, make: Callable[[Occasion], Submission]) -> None:
        self.name, self.make = name, make
        self.clock, self.policy, self.delay = timing.clock, timing.policy, timing.delay
        self.cursor = self.source = f"schedule:{name}"
        self.text = ""  # of the durable cursor, as last seen
        self.place: Place | None = None
        self.due = dt.datetime.min.replace(tzinfo=dt.UTC)

    def stand(self, text: str, place: Place, due: dt.datetime | None = None) -> None:
        """Take over where the durable cursor stands; `due` is the nominal time to look again."""
        self.text, self.place = text, place
        self.look_at(due or self.clock.next(place.at))

    def look_at(self, nominal: dt.datetime) -> None:
        """When the next turn comes, for a tick of this nominal time."""
        self.due = nominal + self.delay

    def next(self, now: dt.datetime) -> dt.datetime:
        """When it fires next."""
        return self.clock.next(now - self.delay) + self.delay

    def task_of(self, tick: dt.datetime, now: dt.datetime) -> Submission:
        """The task of a tick. Raises TemplateError.

        Where ticks queue up, one runs at a time: they share a lock, unless the entry has one of its own.
        """
        task = self.make(self.occasion(tick, now))
        if self.policy.overlap == "queue" and not task.lock:
            return msgspec.structs.replace(task, lock=self.source)
        return task

    def by_hand(self, now: dt.datetime, key: str) -> Submission:
        """The task of a tick that a person makes; it runs beside any other. Raises TemplateError."""
        return self.make(dataclasses.replace(self.occasion(now, now), key=key))

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
        timing = timing_of(entry, environ)
        recipe = Recipe(entry, "schedule", VARIABLES, makers)
        found.append(Schedule(name, timing, recipe.submission))
    return found


def from_huey(
    huey: Any, environ: Mapping[str, str], makers: Makers, timezone: str | None = None
) -> list[Schedule]:
    """Huey's periodic tasks: exact with `cron(...)`, minute by minute with any other validator.

    `timezone` is that of expressions which name none. Raises CronError.
    """
    found = []
    for task in huey._registry.periodic_tasks:
        kind = type(task)
        name = huey._registry.task_to_string(kind)
        spec = getattr(kind, "cron_spec", None)
        if isinstance(spec, CronSpec):
            clock: Clockwork = CronClock(Cron(spec, zone(spec.timezone or timezone, environ)))
        else:
            clock = MinuteClock(task.validate_datetime, huey.utc)
        timing = Timing(clock, _policy_of(kind, name))
        found.append(Schedule(name, timing, _call(kind, name, makers)))
    return found


def _policy_of(kind: Any, name: str) -> Policy:
    """What the decorator says, with the names and defaults of baton.yaml. Raises CronError."""
    said: dict[str, Any] = {}
    for field, allowed in types.SCHEDULE_POLICY.items():
        value = getattr(kind, field, None)
        if value is None:
            continue
        try:
            said[field] = types.checked(value, allowed)
        except ValueError as error:
            raise CronError(name, f"{field}={value!r}: {error}") from error
    window = said.pop("catch_up_window", None)
    if window is not None:
        said["window"] = dt.timedelta(seconds=window)
    return Policy(**said)


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
