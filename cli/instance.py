"""What an instance is like now: asked of Redis, of PM2 and of this machine's files, for `./baton status`."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cli import billing, hosts, look, problems, producing, queue, upkeep
from cli.apps import app_name, roles
from cli.errors import CliError, redis_is_away
from cli.missing import Notice, notices
from cli.report import app_facts

if TYPE_CHECKING:
    from durable.costs import Today
    from durable.records import GateEntry, Newer, Record, State
    from durable.standing import Problem
    from settings import Settings

_RECENT = 5
#: A daemon that stands still must not keep all the rest from being shown, s.
_PM2_S = 10.0
_RUNNING = 50
#: A stream that is longer is not read for what it has cost so far, bytes.
_READ_AT_MOST = 4_000_000


class Run(NamedTuple):
    """A task that runs, and what its attempt's folder says of it; None where it runs on another machine."""

    record: Record
    last_event_s: float | None
    """When claude last wrote something, Unix seconds."""
    cost_usd: float
    """Of the attempts before and, as far as the stream says, of this one."""


class Tick(NamedTuple):
    """When a schedule fires next, Unix ms."""

    schedule: str
    at_ms: int
    when: str = ""
    """At which times, and in which zone, as `schedules` says it."""


class Queue(NamedTuple):
    """What Redis says."""

    gate: list[GateEntry]
    problems: list[Problem]
    counts: dict[State, int]
    sources: dict[str, dict[State, int]]
    running: list[Run]
    recent: list[Record]
    hosts: hosts.Hosts
    today: Today
    now_ms: int
    newer: Newer


class Instance(NamedTuple):
    """All of it. `apps` is None where PM2 gave no answer, `tasks` where Redis gave none."""

    settings: Settings
    apps: list[dict[str, Any]] | None
    tasks: Queue | None
    missing: list[Notice]
    ticks: list[Tick]
    producers: list[dict[str, Any]]
    claude: dict[str, Any]


def ask() -> Instance:
    """Ask whoever answers; what does not is among the missing. Raises SettingsError."""
    settings = queue.settings()
    apps, pm2_away = _try(lambda: _apps(settings))
    tasks, redis_away = _try(lambda: _queue(settings))
    away = [Notice(*pair) for pair in (pm2_away, redis_away) if pair]
    too_new = _too_new(tasks) if tasks else ()
    unserved = hosts.notices(tasks.hosts, settings.host) if tasks else ()
    due = ticks(settings, dt.datetime.now(dt.UTC))
    return Instance(
        settings=settings,
        apps=apps,
        tasks=tasks,
        missing=[*_mistake(settings), *away, *too_new, *notices(settings), *unserved],
        ticks=due,
        producers=_producers(settings, due, redis=tasks is not None),
        claude=billing.facts(settings, os.environ),
    )


def _mistake(settings: Settings) -> Iterator[Notice]:
    if settings.mistake:
        yield Notice(
            settings.mistake,
            "correct it, then ./baton up; until then all goes on as accepted before",
        )


def _try(ask: Callable[[], Any]) -> tuple[Any, tuple[str, str] | None]:
    """Return what was asked for, or None with what is away and the remedy."""
    try:
        return ask(), None
    except CliError as error:
        return None, (error.problem, error.remedy)
    except Exception as error:
        if not redis_is_away(error):
            raise
        return None, (f"Redis does not answer: {error}", "./baton up starts it")


def _apps(settings: Settings) -> list[dict[str, Any]]:
    pm2 = upkeep.pm2_of(settings, _PM2_S)
    owned = upkeep.place(settings).owns
    processes = [process for process in pm2.processes() if owned(process)]
    names = [app_name(settings.instance, *role) for role in roles(settings)]
    return app_facts(settings.var, names, processes)


def _queue(settings: Settings) -> Queue:
    store = queue.views()
    return Queue(
        gate=store.gate(),
        problems=problems.standing(store),
        counts=store.counts(),
        sources=store.counts_by_source(),
        running=[
            _run(settings.var, record) for record in look.chosen(store, "running", None, _RUNNING)
        ],
        recent=look.ended(store, _RECENT),
        hosts=hosts.ask(store),
        today=store.today(),
        now_ms=store.now_ms(),
        newer=store.from_newer(),
    )


def _producers(settings: Settings, due: list[Tick], *, redis: bool) -> list[dict[str, Any]]:
    """What they are at, which needs no Redis; what was last does."""
    found = producing.producers(settings, due)
    told, _ = _try(lambda: producing.with_last(found, queue.views())) if redis else (None, None)
    return told or found


def _run(var: Path, record: Record) -> Run:
    folder = var / "attempts" / record.id / str(record.attempt)
    try:
        written = (folder / "stream.jsonl").stat()
    except OSError:  # on another machine, or a Python task, or not begun
        return Run(record, None, record.cost_usd)
    return Run(record, written.st_mtime, record.cost_usd + _so_far(folder, written.st_size))


def _so_far(folder: Path, size: int) -> float:
    if size > _READ_AT_MOST:
        return 0.0
    from consumers import bill
    from consumers import folder as folders
    from consumers.stream import Summary
    from durable.costs import total_usd

    summary, _ = folders.read(folder, Summary())
    return total_usd(bill.of(summary, None) or ())


def ticks(settings: Settings, now: dt.datetime) -> list[Tick]:
    """Return the next tick of each schedule of baton.yaml, the soonest first."""
    if not settings.schedules:
        return []  # what computes them is not loaded for nothing
    from durable.cronspec import CronError
    from producers.timing import timing_of

    found = []
    for name, entry in settings.schedules.items():
        try:
            timing = timing_of(entry, settings.environ)
            due = timing.next(now)
        except CronError:  # the scheduler says so, and `problems` has it
            continue
        found.append(Tick(name, int(due.timestamp() * 1000), timing.clock.words))
    return sorted(found, key=lambda tick: tick.at_ms)


def _too_new(tasks: Queue) -> Iterator[Notice]:
    if tasks.newer.tasks:
        words = f"made by a newer Baton, and waiting for its consumers: {tasks.newer.tasks}"
        yield Notice(words, "upgrade this machine")
