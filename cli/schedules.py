"""The verbs of schedules: when each fires, what became of its last ticks, and firing one by hand."""

from __future__ import annotations

import argparse
import datetime as dt
import time
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

from cli import queue
from cli.errors import CliError
from cli.fates import BY_HAND, facts, in_short
from cli.terminal import age, moment, print_json, table

if TYPE_CHECKING:
    from durable.records import Told
    from durable.views import Views
    from producers.schedules import Schedule
    from producers.timing import Timing


def schedules(args: argparse.Namespace) -> int:
    """Print every schedule with its next tick, and what became of the last."""
    store, found = queue.views(), listed()
    now = dt.datetime.fromtimestamp(store.now_ms() / 1000, dt.UTC)
    rows = [(schedule, _next(schedule, now), _last(store, schedule)) for schedule in found]
    if args.json:
        print_json([_facts(*row) for row in rows])
    elif rows:
        print(_table(store, rows, now))
        print(f"Times are this machine's ({time.strftime('%Z')}).")
    else:
        print(
            "There is no schedule: baton.yaml has none under schedules:, and no task is periodic."
        )
    return 0


class Listed(NamedTuple):
    """When a schedule fires, without what a tick becomes."""

    name: str
    timing: Timing


def listed() -> list[Listed]:
    """Return all schedules, by name. Only for those of Python the tasks are loaded."""
    from producers.timing import Timing, timing_of

    settings = queue.settings()
    if settings.tasks and not settings.mistake:  # which keeps Python's tasks from being loaded
        return [Listed(one.name, Timing(one.clock, one.policy, one.delay)) for one in known()]
    entries = sorted(settings.schedules.items())
    return [Listed(name, timing_of(entry, settings.environ)) for name, entry in entries]


def run(args: argparse.Namespace) -> int:
    """Put the task of a schedule in now, whatever its time; its ticks go on as they were."""
    from durable.records import Entry
    from producers.ticks import iso

    schedule, store = one(args.name), queue.store()  # with a mistake in baton.yaml nothing is fired
    now = dt.datetime.fromtimestamp(store.now_ms() / 1000, dt.UTC).replace(microsecond=0)
    task = schedule.by_hand(now, f"run:{schedule.name}:{uuid.uuid4().hex}")
    entry = Entry(journal=schedule.source, what="run", about=iso(now), why=BY_HAND, place=1)
    done = store.submit([task], None, [entry])[0]
    if args.json:
        print_json({"id": done.id, "new": done.new})
    else:
        short = done.id[: queue.SHORT]
        print(f"{short} is in the queue. ./baton logs {short} -f shows it.")
    return 0


def known() -> list[Schedule]:
    """Return the schedules of baton.yaml and the periodic tasks of Python, by name."""
    import tasks
    from producers.recipe import Makers
    from producers.schedules import from_huey, from_settings

    settings = tasks.config
    makers = Makers(tasks.claude_submission, tasks.task_submission, settings.base)
    tasks.load_user_tasks()
    found = from_settings(settings.schedules, settings.environ, makers)
    found += from_huey(tasks.huey, settings.environ, makers, settings.timezone)
    return sorted(found, key=lambda schedule: schedule.name)


def one(name: str) -> Schedule:
    """Return the schedule of this name, or of a Python task whose name ends so. Raises CliError."""
    found = known()
    exact = [schedule for schedule in found if schedule.name == name]
    ending = [schedule for schedule in found if is_called(schedule, name)]
    if len(exact or ending) != 1:
        there_is = ", ".join(schedule.name for schedule in found) or "none"
        raise CliError(f"There is no schedule '{name}'.", f"There is: {there_is}.")
    return (exact or ending)[0]


def is_called(schedule: Schedule, name: str) -> bool:
    """Return whether a schedule has this name, or is a Python task whose name ends so."""
    return schedule.name == name or schedule.name.endswith(f".{name}")


def _next(schedule: Listed, now: dt.datetime) -> dt.datetime | None:
    due = schedule.timing.next(now)
    return due if schedule.timing.clock.is_tick(due - schedule.timing.delay) else None


def _last(store: Views, schedule: Listed) -> Told | None:
    return next(iter(store.journal(f"schedule:{schedule.name}", 1)), None)


def _facts(schedule: Listed, due: dt.datetime | None, last: Told | None) -> dict[str, Any]:
    return {
        "name": schedule.name,
        "when": schedule.timing.clock.text,
        "next": due.isoformat() if due else None,
        "last": facts(last) if last else None,
        "catch_up": schedule.timing.policy.catch_up,
        "overlap": schedule.timing.policy.overlap,
    }


def _table(
    store: Views,
    rows: list[tuple[Listed, dt.datetime | None, Told | None]],
    now: dt.datetime,
) -> str:
    ids = [last.id for _, _, last in rows if last and last.id]
    states = {r.id: r.state.value for r in store.records(ids) if r}
    return table(
        ("SCHEDULE", "WHEN", "NEXT", "LAST", "WHAT BECAME OF IT"),
        (
            (
                schedule.name,
                schedule.timing.clock.words,
                _moment(due, now) if due else "-",
                moment(last.at_ms) if last else "-",
                in_short(last, states.get(last.id, "")) if last else "it has not fired yet",
            )
            for schedule, due, last in rows
        ),
    )


def _moment(due: dt.datetime, now: dt.datetime) -> str:
    left_s = (due - now).total_seconds()
    return f"{moment(int(due.timestamp() * 1000))} (in {age(left_s)})"
