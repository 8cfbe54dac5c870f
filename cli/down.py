"""`./baton down`: producers first, then consumers, Redis last, each waited for and told once."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cli import draining, upkeep
from cli.apps import KILL_TIMEOUT_MS, STOP_ORDER, stage_of
from cli.errors import CliError
from cli.locks import Holder, live_holder, process, supervisor
from cli.pm2 import Pm2
from cli.terminal import wrapped

if TYPE_CHECKING:
    from settings import Settings

_LOOK_EVERY_S = 0.1
_AS_BEFORE = "\nNothing was stopped: all apps go on, and take tasks as before."
_HALFWAY = "\nSome apps are stopped, others go on: ./baton status shows which; ./baton down stops the rest."


def down(args: argparse.Namespace) -> int:
    """Stop every app of this instance; with `--drain`, after the running tasks have ended."""
    from cli import queue, waiting

    settings = queue.settings()
    pm2 = upkeep.pm2_of(settings)
    with upkeep.alone(settings):
        found = pm2.processes()
        upkeep.refuse_clashes(settings, pm2, found)
        owned = [process.name for process in found if upkeep.place(settings).owns(process)]
        # Consumers claim nothing from now on, and a stop now means: interrupt the run, give the
        # task back, and go.
        (settings.var / "stopping").touch(mode=0o600)
        stopped: list[str] = []
        begun = False
        try:
            if args.drain:
                waiting.for_running_tasks(settings)
            for stage in STOP_ORDER:
                begun = True
                stopped += _stop(settings, pm2, owned, stage)
            _end_runs(settings)
        except KeyboardInterrupt:
            print(_HALFWAY if begun else _AS_BEFORE, file=sys.stderr)
            raise
        finally:
            # Gone at the end, or consumers would claim nothing: those that `pm2 start ecosystem.config.js`
            # starts, and those that go on because Redis or PM2 gave no answer here.
            (settings.var / "stopping").unlink(missing_ok=True)
        draining.forget_all(settings)
        upkeep.end_own_daemon(settings, pm2)
        with contextlib.suppress(OSError):  # there is a socket in it, or it was never made
            settings.run_dir.rmdir()
    said = f"Stopped: {', '.join(stopped)}." if stopped else "Nothing of this instance runs."
    print(wrapped(said, "  "))
    return 0


def _end_runs(settings: Settings) -> None:
    """End what goes on without a consumer, because that was killed: nothing works on after `down`."""
    from consumers import lost_runs

    for folder in lost_runs.stop(settings.var) + lost_runs.bury(settings.var):
        print(f"{folder.parent.name}: its run had lost its consumer and was ended.", flush=True)


def _stop(settings: Settings, pm2: Pm2, names: Sequence[str], stage: str) -> list[str]:
    """Stop the apps of a stage, those of PM2 and those that outlived theirs; return their names."""
    supervised = [name for name in names if stage_of(name, settings.instance) == stage]
    pm2.delete(supervised)
    orphans = _orphans(settings, stage)
    for held in orphans.values():
        os.kill(held.pid, signal.SIGINT)
    _wait_for_end(orphans, KILL_TIMEOUT_MS[stage] / 1000)
    return sorted({*supervised, *orphans})


def _orphans(settings: Settings, stage: str) -> dict[str, Holder]:
    """Return the apps of a stage that hold their lock although no PM2 supervises them."""
    found = {}
    for path in sorted((settings.var / "locks").glob("*.lock")):
        held = live_holder(path)
        if stage_of(path.stem, settings.instance) != stage or held is None:
            continue
        if daemon := supervisor(held.pid):
            raise CliError(
                f"{path.stem} (pid {held.pid}) runs under another PM2: {daemon}",
                "Run this again with PM2_HOME set to the folder in brackets.",
            )
        found[path.stem] = held
    return found


def _wait_for_end(orphans: dict[str, Holder], patience_s: float) -> None:
    """Wait for processes that were told to stop, and kill those that do not."""
    give_up = time.monotonic() + patience_s
    left = {name: held.pid for name, held in orphans.items()}
    while left and time.monotonic() < give_up:
        time.sleep(_LOOK_EVERY_S)
        left = {name: pid for name, pid in left.items() if process(pid)}
    for name, pid in left.items():
        print(f"{name} (pid {pid}) does not stop; killing it.", file=sys.stderr)
        os.kill(pid, signal.SIGKILL)
