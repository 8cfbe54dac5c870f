"""`./baton up` and `restart`: make PM2 run exactly what baton.yaml asks for, and wait until it does."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from cli import draining, problems, upkeep
from cli.apps import STOP_ORDER, App, planned, stage_of
from cli.converge import Steps, steps
from cli.errors import CliError
from cli.pm2 import Pm2, Process, clean_environment
from cli.readiness import Failure, log_sizes, wait_until_ready
from cli.report import print_failure, print_up
from cli.task_modules import check_tasks
from settings import accepted

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
    """Start apps anew, all or those named, one after another; what has changed besides is done as by `up`."""
    settings = _settings_of_apps()
    names = {app.name for app in planned(settings, os.environ)}
    chosen = {name if name in names else f"{settings.instance}-{name}" for name in args.names}
    if unknown := chosen - names:
        raise CliError(f"No app is called {', '.join(sorted(unknown))}.", _there_is(names))
    return _bring_up(settings, args.json, forced=chosen or names)


def start_all() -> int:
    """Start everything as a boot does: what does not come up holds nobody else up, and PM2 and the apps try on.

    Exit status 0, unless the configuration is wrong: a unit of systemd that fails ends what it has started.
    """
    settings = _settings_of_apps()
    plan = planned(settings, os.environ)
    pm2 = upkeep.pm2_of(settings)
    _make_folders(settings)
    with upkeep.alone(settings):
        daemon_ran = pm2.daemon_runs()
        found = _take_hold(pm2, settings, plan)
        todo = steps(plan, found, upkeep.place(settings), draining.withdraw(settings, plan))
        late = [
            failure
            for batch in batches(plan, _at_work(found, todo))
            for failure in _start(pm2, settings, batch, todo)
        ]
        if not daemon_ran:
            upkeep.note_own_daemon(settings, pm2)
    print(f"{len(plan) - len(late)} of {len(plan)} apps are ready.", flush=True)
    for failure in late:
        print_failure(failure)
    return 0


def _take_hold(pm2: Pm2, settings: Settings, plan: Sequence[App]) -> list[Process]:
    """Refuse what is another's, then let this configuration count and its apps work; what PM2 runs. Raises CliError."""
    found = pm2.processes()
    upkeep.refuse_clashes(settings, pm2, found)
    upkeep.refuse_other_pm2(settings, pm2, plan)
    (settings.var / "stopping").unlink(missing_ok=True)
    accepted.keep(settings)
    return found


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
    check_tasks(settings)
    _prepare(settings)
    with upkeep.alone(settings):
        daemon_ran = pm2.daemon_runs()
        found = _take_hold(pm2, settings, plan)
        late = draining.withdraw(settings, plan)
        todo = steps(plan, found, upkeep.place(settings), {*forced, *late})
        draining.ask(settings, todo.drain)
        failures = _converge(pm2, settings, batches(plan, _at_work(found, todo)), todo)
        if not daemon_ran:
            upkeep.note_own_daemon(settings, pm2)
        todo = _drained(pm2, settings, todo)
        problems.forget_gone(settings)
        processes = [p for p in pm2.processes() if upkeep.place(settings).owns(p)]
    print_up(settings, plan, processes, todo, failures, as_json=as_json)
    return 1 if failures else 0


def _prepare(settings: Settings) -> None:
    """Make the folders, note where claude is, and see that a Redis of somebody else answers."""
    _make_folders(settings)
    _record_claude(settings)
    if settings.redis.mode == "url":
        from durable.connect import check, connect

        client = connect(settings.redis.url, retries=0)
        check(client, settings.redis.url, unsafe=settings.redis.unsafe)
        _check_data(settings)


def _make_folders(settings: Settings) -> None:
    for folder in (settings.var, settings.var / "logs", settings.var / "locks"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _record_claude(settings: Settings) -> None:
    """Write down where claude is, for apps that a boot starts with another PATH."""
    from consumers.claude import Found, locate

    found = locate(settings)
    if isinstance(found, Found):
        draft = settings.var / f".claude-path.{os.getpid()}"  # another `up` may be here as well
        draft.touch(mode=0o600)
        draft.write_text(f"{found.path}\n")
        draft.replace(settings.var / "claude-path")


def _at_work(found: Sequence[Process], todo: Steps) -> set[str]:
    """Return the names of the apps that are to be started anew and run now."""
    return {process.name for process in found if process.runs} & set(todo.replace)


def _converge(
    pm2: Pm2, settings: Settings, in_turn: Sequence[Sequence[App]], todo: Steps
) -> list[Failure]:
    """Do the steps: the gone ones first, then batch by batch, and stop where one does not come up."""
    for stage in STOP_ORDER:
        pm2.delete([n for n in todo.remove if stage_of(n, settings.instance) == stage])
    for batch in in_turn:
        if failures := _start(pm2, settings, batch, todo):
            return failures
        if batch[0].stage == "redis":
            _check_data(settings)
    return []


def _start(pm2: Pm2, settings: Settings, batch: Sequence[App], todo: Steps) -> list[Failure]:
    """Start those of a batch that are to be started, and wait until all of it is ready; who is not."""
    names = [app.name for app in batch]
    sizes = log_sizes(batch)
    pm2.delete([name for name in names if name in todo.replace])
    if starting := [name for name in names if name in (*todo.start, *todo.replace)]:
        pm2.start(starting)
    return wait_until_ready(pm2, batch, settings.var, sizes)


def _drained(pm2: Pm2, settings: Settings, todo: Steps) -> Steps:
    """Remove those of the draining that had nothing to do; what was done in the end."""
    busy = draining.wait(settings, todo.drain)
    gone = tuple(name for name in todo.drain if name not in busy)
    pm2.delete(gone)
    draining.forget(settings, (*todo.remove, *gone))
    return todo._replace(remove=tuple(sorted((*todo.remove, *gone))), drain=busy)


def _check_data(settings: Settings) -> None:
    """Nothing that works on tasks is started on data that are not this folder's."""
    from durable import dataset
    from durable.connect import connect, hide_password
    from durable.store import LeaseStore

    store = LeaseStore(connect(settings.redis.url, retries=0), f"{{{settings.instance}}}:")
    dataset.bind(store, settings.var, hide_password(settings.redis.url))


def batches(plan: Sequence[App], at_work: Collection[str]) -> list[list[App]]:
    """Group the plan by what may start side by side: Redis before all others, then what nobody has at work.

    What runs and is to be started anew comes one by one after that, each when the one before is ready: so the
    others are at work meanwhile, and stay as they are when one does not come up.
    """
    redis = [app for app in plan if app.stage == "redis"]
    others = [app for app in plan if app.stage != "redis"]
    together = [app for app in others if app.name not in at_work]
    one_by_one = [[app] for app in others if app.name in at_work]
    return [group for group in (redis, together, *one_by_one) if group]
