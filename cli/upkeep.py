"""What `up`, `restart` and `down` share: one of them at a time, and whose apps they may touch."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from cli.apps import App
from cli.converge import Place
from cli.errors import CliError
from cli.locks import Lock, holder, live_holder, lock_path, supervisor
from cli.pm2 import PATIENCE_S, Pm2, Process

if TYPE_CHECKING:
    from settings import Settings

# Another `up` is over by then, s: PM2's own waits are 60 s for a stage.
_PATIENCE_S = 300.0
_OWN_DAEMON = "pm2-daemon"


def place(settings: Settings) -> Place:
    """Return what makes an app in PM2 one of this instance."""
    return Place(settings.instance, settings.root, settings.var)


def pm2_of(settings: Settings, patience_s: float = PATIENCE_S) -> Pm2:
    """Return the PM2 that runs this instance."""
    return Pm2(settings.root, os.environ, patience_s)


@contextlib.contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """Hold the right to start and stop apps of this instance; a second caller waits for it."""
    lock = Lock(lock_path(settings.var, "up"))
    give_up = time.monotonic() + _PATIENCE_S
    told = False
    while not lock.take():
        other = holder(lock.path)
        if not told:
            who = f" (pid {other.pid})" if other else ""
            print(f"Another ./baton up, restart or down is at work{who}; waiting.", file=sys.stderr)
            told = True
        if time.monotonic() > give_up:
            raise CliError(
                "Another ./baton up, restart or down does not end.",
                f"Look at process {other.pid if other else '?'}, then try again.",
            )
        time.sleep(0.2)
    try:
        yield
    finally:
        lock.close()


def refuse_clashes(settings: Settings, pm2: Pm2, processes: Sequence[Process]) -> None:
    """Raise when a name of this instance belongs to another folder: PM2 would act on that one."""
    strangers = place(settings).clashes(processes)
    if not strangers:
        return
    where = sorted({process.env.get("BATON_VAR") or process.cwd for process in strangers})
    raise CliError(
        f"{strangers[0].name} in this PM2 ({pm2.home}) belongs to {', '.join(where)}.",
        "Give this instance a name of its own: `instance: NAME` in " + str(settings.config),
    )


def refuse_other_pm2(settings: Settings, pm2: Pm2, apps: Sequence[App]) -> None:
    """Raise when another living PM2 runs these apps: ours would wait for them for ever."""
    for app in apps:
        held = live_holder(lock_path(settings.var, app.name))
        daemon = supervisor(held.pid) if held else None
        if held and daemon and f"({pm2.home})" not in daemon:
            raise CliError(
                f"{app.name} runs already (pid {held.pid}) under another PM2: {daemon}",
                "Use that one (set PM2_HOME to the folder in brackets), or stop it there first.",
            )


def note_own_daemon(settings: Settings, pm2: Pm2) -> None:
    """Note that this instance has started the daemon that runs now, so that `down` may end it."""
    note = settings.var / _OWN_DAEMON
    note.touch(mode=0o600)
    note.write_text(f"{pm2.home} {pm2.daemon_pid()}\n")


def end_own_daemon(settings: Settings, pm2: Pm2) -> None:
    """End the daemon if this instance has started it and nothing at all is left in it."""
    note = settings.var / _OWN_DAEMON
    ours = note.exists() and note.read_text() == f"{pm2.home} {pm2.daemon_pid()}\n"
    if ours and not pm2.processes():
        pm2.end_daemon()
    note.unlink(missing_ok=True)
