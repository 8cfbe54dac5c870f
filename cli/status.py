"""`./baton status`: the gate, the apps, the tasks, and what is missing; with --watch again and again."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from cli import costs, gate, hosts, problems, queue, screen
from cli.errors import CliError
from cli.instance import Instance, ask
from cli.terminal import print_json
from cli.terminal import screen as terminal_size

if TYPE_CHECKING:
    from cli.instance import Queue, Run


def status(args: argparse.Namespace) -> int:
    """Print how the instance is; works without Redis and without PM2, and says which is away."""
    if args.watch:
        return _watch(args)
    instance = ask()
    if args.json:
        print_json(facts(instance))
    elif sys.stdout.isatty():
        print("\n".join(screen.lines(instance, terminal_size()[0])))  # all of it: one may scroll
    else:
        print("\n".join(screen.lines(instance)))
    return 0


def _watch(args: argparse.Namespace) -> int:
    if args.json or not sys.stdout.isatty():
        raise CliError(
            "--watch draws on a terminal, and this is none."
            if not args.json
            else "--watch is for people.",
            "Ask again and again instead: ./baton status --json is one document each time.",
        )
    from cli.redraw import redraw

    queue.settings()  # what is wrong with them is not told in the middle of a screen
    return redraw(lambda width, height: screen.lines(ask(), width, height))


def facts(instance: Instance) -> dict[str, Any]:
    """Return all of it for `--json`; None for what Redis or PM2 would have had to say."""
    settings, tasks = instance.settings, instance.tasks
    return {
        "instance": settings.instance,
        "config": str(settings.config),
        "var": str(settings.var),
        "host": settings.host,
        "apps": instance.apps,
        **(_of_tasks(instance, tasks) if tasks else dict.fromkeys(_OF_TASKS)),
        "ticks": [tick._asdict() for tick in instance.ticks],
        "producers": instance.producers,
        "missing": [notice._asdict() for notice in instance.missing],
        "claude": instance.claude,
        "warnings": list(settings.warnings),
        "mistake": settings.mistake or None,
    }


_OF_TASKS = (
    *("gate", "problems", "counts", "sources", "today", "running", "recent", "hosts", "unserved"),
)


def _of_tasks(instance: Instance, tasks: Queue) -> dict[str, Any]:
    return {
        "gate": [gate.facts(entry) for entry in tasks.gate],
        "problems": [problems.facts(problem, tasks.now_ms) for problem in tasks.problems],
        "counts": {name.value: count for name, count in tasks.counts.items()},
        "sources": screen.by_source(tasks),
        "today": costs.today_facts(instance.settings, tasks.today),
        "running": [_running(run) for run in tasks.running],
        "recent": [queue.facts(record) for record in tasks.recent],
        "hosts": hosts.facts(tasks.hosts),
        "unserved": tasks.hosts.unserved,
    }


def _running(run: Run) -> dict[str, Any]:
    more = {"last_event_s": run.last_event_s, "cost_so_far_usd": run.cost_usd}
    return queue.facts(run.record) | more
