"""PM2 and what it runs: its version and its daemon's, apps that are missing, strangers, locks, the start at boot."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cli import boot, locks, upkeep
from cli.apps import App, planned
from cli.errors import CliError
from cli.examinations.findings import Finding
from cli.pm2 import Pm2, Process
from durable import starts

if TYPE_CHECKING:
    from settings import Settings

#: PM2 answers within a second or two.
_PATIENCE_S = 15.0


def examine(settings: Settings) -> Iterator[Finding]:
    """Findings on the processes of this instance."""
    wanted = planned(settings, os.environ)
    pm2 = Pm2(settings.root, os.environ, patience_s=_PATIENCE_S)
    yield from versions(pm2)
    try:
        running = pm2.processes()
    except CliError as error:
        yield Finding("bad", "PM2", error.problem, error.remedy)
    else:
        yield from _apps(settings, pm2, running, wanted)
    yield from stale(settings, pm2, wanted)
    yield at_boot(boot.target(settings))


def versions(pm2: Pm2) -> Iterator[Finding]:
    """A daemon stays of the version that it was started with, and takes none of the newer's words for granted."""
    ours, theirs = _installed(pm2.root), _daemon(pm2.home)
    if ours and theirs and ours != theirs:
        words = f"its daemon is of version {theirs}, the installed PM2 of {ours}"
        remedy = f"./baton down; PM2_HOME={pm2.home} node_modules/.bin/pm2 kill; ./baton up"
        yield Finding("warn", "PM2", words, remedy)


def _installed(root: Path) -> str:
    try:
        return str(
            json.loads((root / "node_modules" / "pm2" / "package.json").read_bytes())["version"]
        )
    except (OSError, ValueError, KeyError):
        return ""


def _daemon(home: Path) -> str:
    """The version in the title of the living daemon of this PM2_HOME; "" when none is known."""
    try:
        found = locks.process(int((home / "pm2.pid").read_text()))
    except (OSError, ValueError):
        return ""
    said = re.match(r"PM2 v(\S+): God Daemon", found.command) if found else None
    return said[1] if said else ""


def _apps(
    settings: Settings, pm2: Pm2, running: Sequence[Process], wanted: Sequence[App]
) -> Iterator[Finding]:
    try:
        upkeep.refuse_clashes(settings, pm2, running)
    except CliError as error:
        yield Finding("bad", "instance", error.problem, error.remedy)
    owned = upkeep.place(settings).owns
    alive = {process.name for process in running if process.runs and owned(process)}
    loops = list(restart_loops(settings.var, wanted))
    yield from loops
    missing = [app.name for app in wanted if app.name not in alive]
    if missing:
        words = f"{len(missing)} of {len(wanted)} apps do not run: {', '.join(missing)}"
        yield Finding("warn", "PM2", words, "./baton up starts them; ./baton status says more")
    elif not loops:
        yield Finding("ok", "PM2", f"{len(wanted)} apps run")


def restart_loops(var: Path, wanted: Sequence[App]) -> Iterator[Finding]:
    """PM2 calls an app online that begins again and again."""
    from alerts.host import loop_of

    names = {app.name for app in wanted}
    for one in starts.all_starts(var):
        if one.app in names and (words := loop_of(one, time.time())):
            yield Finding("bad", "PM2", f"{one.app} is in {words}", f"./baton logs {one.app}")


def stale(settings: Settings, pm2: Pm2, wanted: Sequence[App]) -> Iterator[Finding]:
    """What an end that was none has left: the mark of `down`, a hanging `up`, apps without their PM2."""
    up = locks.live_holder(locks.lock_path(settings.var, "up"))
    if up:
        words = f"a ./baton up, restart or down is at work (pid {up.pid})"
        yield Finding("warn", "lock", words, f"wait for it, or look at process {up.pid}")
    elif (settings.var / "stopping").exists():
        words = f"{settings.var / 'stopping'} is left of a ./baton down: consumers take no task"
        yield Finding("bad", "lock", words, "./baton up removes it")
    for app in wanted:
        held = locks.live_holder(locks.lock_path(settings.var, app.name))
        daemon = locks.supervisor(held.pid) if held else None
        if held and daemon is None:
            words = f"{app.name} runs (pid {held.pid}), and no PM2 looks after it"
            yield Finding("warn", "lock", words, "./baton up lets PM2 take it over")
        elif held and daemon and f"({pm2.home})" not in daemon:
            words = f"{app.name} runs (pid {held.pid}) under another PM2: {daemon}"
            yield Finding("bad", "lock", words, f"set PM2_HOME to that one, not {pm2.home}")


def at_boot(unit: boot.Target) -> Finding:
    """Whether the machine starts this instance by itself; no wonder that it does not where no systemd runs."""
    facts = boot.facts_of(unit)
    words, _, remedy = boot.sentence(facts).partition("\n    → ")
    if not facts["available"] and not facts["foreign"]:
        return Finding("ok", "boot", words)
    well = facts["installed"] and not remedy
    return Finding("ok" if well else "warn", "boot", words, remedy)
