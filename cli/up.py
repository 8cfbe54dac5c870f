"""`./baton up` and `restart`: make PM2 run exactly what baton.yaml asks for, and wait until it does."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from cli import draining, problems, upkeep
from cli.apps import STOP_ORDER, App, planned, stage_of
from cli.converge import Steps, steps
from cli.errors import CliError
from cli.pm2 import Pm2, clean_environment
from cli.readiness import Failure, log_sizes, wait_until_ready
from cli.report import print_up

if TYPE_CHECKING:
    from settings import Settings


def up(args: argparse.Namespace) -> int:
    """Start what is missing, restart what changed, remove what is gone."""
    from settings import ensure_config

    config, created = ensure_config()
    if created:
        print(f"Made {config} from the example; edit it as you like.", file=sys.stderr)
    return _bring_up(_settings_of_apps(), args.json, forced=())


def restart(args: argparse.Namespace) -> int:
    """Start apps anew, all or those named, one stage after another, consumers one by one."""
    settings = _settings_of_apps()
    names = {app.name for app in planned(settings, os.environ)}
    chosen = {name if name in names else f"{settings.instance}-{name}" for name in args.names}
    if unknown := chosen - names:
        raise CliError(f"No app is called {', '.join(sorted(unknown))}.", _there_is(names))
    return _bring_up(settings, args.json, forced=chosen or names)


def _settings_of_apps() -> Settings:
    """Return the settings as apps under PM2 see them: from the files, not from this shell."""
    from settings import load

    shell, settings = load(), load(environ=clean_environment(os.environ))
    if shell.redis.url != settings.redis.url:
        raise CliError(
            "REDIS_URL is set in this shell, but apps under PM2 read it from .env only.",
            f"Write it into {settings.base / '.env'}, or unset it here.",
        )
    return settings


def _there_is(names: Collection[str]) -> str:
    return f"There is: {', '.join(sorted(names))}."


def _bring_up(settings: Settings, as_json: bool, forced: Collection[str]) -> int:
    plan = planned(settings, os.environ)
    pm2 = upkeep.pm2_of(settings)
    _prepare(settings)
    with upkeep.alone(settings):
        found = pm2.processes()
        upkeep.refuse_clashes(settings, pm2, found)
        upkeep.refuse_other_pm2(settings, pm2, plan)
        (settings.var / "stopping").unlink(missing_ok=True)
        late = draining.withdraw(settings, plan)
        todo = steps(plan, found, upkeep.place(settings), {*forced, *late})
        draining.ask(settings, todo.drain)
        failures = _converge(pm2, settings, plan, todo, one_by_one=bool(forced))
        todo = _drained(pm2, settings, todo)
        problems.forget_gone(settings)
        processes = [p for p in pm2.processes() if upkeep.place(settings).owns(p)]
    print_up(settings, plan, processes, todo, failures, as_json=as_json)
    return 1 if failures else 0


def _prepare(settings: Settings) -> None:
    """Make the folders, note where claude is, and see that a Redis of somebody else answers."""
    for folder in (settings.var, settings.var / "logs", settings.var / "locks"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _record_claude(settings)
    if settings.redis.mode == "url":
        from durable.connect import check, connect

        client = connect(settings.redis.url, retries=0)
        check(client, settings.redis.url, unsafe=settings.redis.unsafe)
        _check_data(settings)


def _record_claude(settings: Settings) -> None:
    """Write down where claude is, for apps that a boot starts with another PATH."""
    from consumers.claude import Found, locate

    found = locate(settings)
    if isinstance(found, Found):
        draft = settings.var / f".claude-path.{os.getpid()}"  # another `up` may be here as well
        draft.touch(mode=0o600)
        draft.write_text(f"{found.path}\n")
        draft.replace(settings.var / "claude-path")


def _converge(
    pm2: Pm2, settings: Settings, plan: Sequence[App], todo: Steps, *, one_by_one: bool
) -> list[Failure]:
    """Do the steps: the gone ones first, then batch by batch, and stop where one does not come up."""
    for stage in STOP_ORDER:
        pm2.delete([n for n in todo.remove if stage_of(n, settings.instance) == stage])
    for batch in batches(plan, one_by_one=one_by_one):
        names = [app.name for app in batch]
        sizes = log_sizes(batch)
        pm2.delete([name for name in names if name in todo.replace])
        if starting := [name for name in names if name in (*todo.start, *todo.replace)]:
            pm2.start(starting)
        if failures := wait_until_ready(pm2, batch, settings.var, sizes):
            return failures
        if batch[0].stage == "redis":
            _check_data(settings)
    return []


def _drained(pm2: Pm2, settings: Settings, todo: Steps) -> Steps:
    """Remove those of the draining that had nothing to do; what was done in the end."""
    busy = draining.wait(settings, todo.drain)
    gone = tuple(name for name in todo.drain if name not in busy)
    pm2.delete(gone)
    draining.forget(settings, (*todo.remove, *gone))
    return dataclasses.replace(todo, remove=tuple(sorted((*todo.remove, *gone))), drain=busy)


def _check_data(settings: Settings) -> None:
    """Nothing that works on tasks is started on data that are not this folder's."""
    from durable import dataset
    from durable.connect import connect, hide_password
    from durable.store import LeaseStore

    store = LeaseStore(connect(settings.redis.url, retries=0), f"{{{settings.instance}}}:")
    dataset.bind(store, settings.var, hide_password(settings.redis.url))


def batches(plan: Sequence[App], *, one_by_one: bool) -> list[list[App]]:
    """Group the plan by what may start side by side: Redis before all others.

    With `one_by_one` also the producers before the consumers and each consumer by itself, so that
    a restart always leaves the others at work.
    """
    redis = [app for app in plan if app.stage == "redis"]
    producers = [app for app in plan if app.stage == "producers"]
    consumers = [app for app in plan if app.stage == "consumers"]
    together = [redis, producers + consumers]
    in_turn = [redis, producers, *([app] for app in consumers)]
    return [group for group in (in_turn if one_by_one else together) if group]
