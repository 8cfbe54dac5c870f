"""`./baton status`: one screen on the gate, the apps, the tasks, and what is missing."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from cli import billing, costs, gate, hosts, look, problems, queue, upkeep
from cli.apps import app_name, roles
from cli.errors import CliError, redis_is_away
from cli.missing import Notice, notices
from cli.report import app_facts, app_table, reasons
from cli.terminal import ago, paint, print_json, printable, state, table, usd

if TYPE_CHECKING:
    from durable.costs import Today
    from durable.records import GateEntry, Newer, Record, State
    from durable.standing import Problem
    from settings import Settings

_RECENT = 5
_RUNNING = 50


class Queue(NamedTuple):
    """What Redis says."""

    gate: list[GateEntry]
    problems: list[Problem]
    counts: dict[State, int]
    sources: dict[str, dict[State, int]]
    running: list[Record]
    recent: list[Record]
    hosts: hosts.Hosts
    today: Today
    now_ms: int
    newer: Newer


def status(args: argparse.Namespace) -> int:
    """Print how the instance is; works without Redis and without PM2, and says which is away."""
    settings = queue.settings()
    apps, pm2_away = _try(lambda: _apps(settings))
    tasks, redis_away = _try(_queue)
    away = [Notice(*pair) for pair in (pm2_away, redis_away) if pair]
    too_new = _too_new(tasks) if tasks else ()
    unserved = hosts.notices(tasks.hosts, settings.host) if tasks else ()
    missing = [*away, *too_new, *notices(settings), *unserved]
    if args.json:
        print_json(_facts(settings, apps, tasks, missing))
    else:
        _print(settings, apps, tasks, missing)
    return 0


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
    pm2 = upkeep.pm2_of(settings)
    owned = upkeep.place(settings).owns
    processes = [process for process in pm2.processes() if owned(process)]
    names = [app_name(settings.instance, *role) for role in roles(settings)]
    return app_facts(settings.var, names, processes)


def _queue() -> Queue:
    store = queue.views()
    return Queue(
        gate=store.gate(),
        problems=problems.standing(store),
        counts=store.counts(),
        sources=store.counts_by_source(),
        running=look.chosen(store, "running", None, _RUNNING),
        recent=look.ended(store, _RECENT),
        hosts=hosts.ask(store),
        today=store.today(),
        now_ms=store.now_ms(),
        newer=store.from_newer(),
    )


def _too_new(tasks: Queue) -> Iterator[Notice]:
    if tasks.newer.tasks:
        words = f"{tasks.newer.tasks} tasks were made by a newer Baton and wait for its consumers"
        yield Notice(words, "upgrade this machine")


def _facts(
    settings: Settings,
    apps: list[dict[str, Any]] | None,
    tasks: Queue | None,
    missing: list[Notice],
) -> dict[str, Any]:
    return {
        "instance": settings.instance,
        "config": str(settings.config),
        "var": str(settings.var),
        "apps": apps,
        "gate": None if tasks is None else [gate.facts(entry) for entry in tasks.gate],
        "problems": None if tasks is None else _problems(tasks),
        "counts": None if tasks is None else {k.value: n for k, n in tasks.counts.items()},
        "sources": None if tasks is None else _sources(tasks),
        "today": None if tasks is None else costs.today_facts(settings, tasks.today),
        "running": None if tasks is None else [queue.facts(record) for record in tasks.running],
        "recent": None if tasks is None else [queue.facts(record) for record in tasks.recent],
        "host": settings.host,
        "hosts": None if tasks is None else hosts.facts(tasks.hosts),
        "unserved": None if tasks is None else tasks.hosts.unserved,
        "missing": [notice._asdict() for notice in missing],
        "claude": billing.facts(settings, os.environ),
        "warnings": list(settings.warnings),
    }


def _print(
    settings: Settings,
    apps: list[dict[str, Any]] | None,
    tasks: Queue | None,
    missing: list[Notice],
) -> None:
    print(f"{paint(settings.instance, 'bold')}  {settings.config}")
    for entry in tasks.gate if tasks else []:
        print(gate.sentence(entry))
    for line in _problem_lines(tasks) if tasks else []:
        print(line)
    for notice in missing:
        print(f"{paint(notice.problem, 'yellow')}\n    → {notice.remedy}")
    for text in settings.warnings:
        print(paint("! ", "yellow") + text)
    for text in billing.sentences(billing.facts(settings, os.environ)):
        print(printable(text))
    if apps:
        print(f"\n{app_table(apps)}")
        for words in reasons(apps):
            print(paint("! ", "yellow") + words)
        if all(row["pid"] == 0 for row in apps):
            print("Nothing runs. ./baton up starts it.")
    for line in hosts.elsewhere(tasks.hosts, settings.host) if tasks else []:
        print(printable(f"on {line}"))
    if tasks:
        _print_tasks(tasks)
        if tasks.today.usd or tasks.today.tokens or tasks.today.reserved_usd:
            print(f"\n{costs.today_line(settings, tasks.today)}")


def _problem_lines(tasks: Queue) -> list[str]:
    return [problems.sentence(problem, tasks.now_ms) for problem in tasks.problems]


def _problems(tasks: Queue) -> list[dict[str, Any]]:
    return [problems.facts(problem, tasks.now_ms) for problem in tasks.problems]


def _print_tasks(tasks: Queue) -> None:
    counted = [f"{state(name.value)} {count}" for name, count in tasks.counts.items() if count]
    print(f"\nTasks: {', '.join(counted) or 'none yet'}")
    if tasks.sources:
        print(f"\n{_source_table(tasks)}")
    if tasks.running:
        print(f"\n{_running_table(tasks)}")
    if tasks.recent:
        print(f"\n{look.rows(tasks.recent, tasks.now_ms)}")


def _sources(tasks: Queue) -> dict[str, dict[str, int]]:
    """Return each source's counts; its `queued` has those that wait for a time, too."""
    return {
        source or "-": {name.value: count for name, count in counts.items() if count}
        for source, counts in sorted(tasks.sources.items())
    }


def _source_table(tasks: Queue) -> str:
    words = ("queued", "running", "held", "succeeded", "failed", "cancelled")
    heads = ("SOURCE", "WAITING", *(word.upper() for word in words[1:]))
    rows = _sources(tasks).items()
    return table(
        heads, ((name, *(str(counts.get(word, "-")) for word in words)) for name, counts in rows)
    )


def _running_table(tasks: Queue) -> str:
    return table(
        ("RUNNING", "SOURCE", "FOR", "TRY", "COST", "WHAT"),
        (
            (
                record.id[: queue.SHORT],
                record.source or "-",
                ago(record.started_ms, tasks.now_ms),
                str(record.attempt),
                usd(record.cost_usd),
                look.subject(record),
            )
            for record in tasks.running
        ),
    )
