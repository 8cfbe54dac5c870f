"""Whether an app really is ready, and if not, what is known of the reason."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cli.apps import App
from cli.locks import holder, lock_path
from cli.pm2 import ONLINE, Pm2, Process
from consumers.draining import DRAINED

# After PM2 has answered, s: its own wait for `ready` is over by then.
PATIENCE_S = 30.0
_LOOK_EVERY_S = 0.1
# One question to PM2 costs 0.2 s of processor, so the lock files are looked at in between.
_ASK_EVERY_S = 1.0
# Restarts since the start that say: it will not come up by itself.
_CRASHES = 3
_LAST_LINES = 12


class Failure(NamedTuple):
    """An app that is not ready: why, and the last lines of its log since it was started."""

    name: str
    problem: str
    lines: tuple[str, ...]


def log_sizes(apps: Sequence[App]) -> dict[Path, int]:
    """Return how long each app's files are now, in bytes, so that only what follows is shown."""
    from cli import applogs

    return applogs.sizes(Path(file) for app in apps for file in (app.log, app.out))


def is_ready(process: Process | None, var: Path) -> bool:
    """Whether PM2's process is the one that holds the app's lock and has said that it is ready.

    PM2 alone says "online" for an app that has not been ready within listen_timeout.
    """
    if process is None or process.status != ONLINE:
        return False
    held = holder(lock_path(var, process.name))
    return held is not None and held.ready and held.pid == process.pid


def wait_until_ready(
    pm2: Pm2, apps: Sequence[App], var: Path, before: dict[Path, int]
) -> list[Failure]:
    """Wait for all apps, or until one has given up or PATIENCE_S is over; return who failed."""
    give_up = time.monotonic() + PATIENCE_S
    while True:
        known = {process.name: process for process in pm2.processes()}
        late = [app for app in apps if not is_ready(known.get(app.name), var)]
        done = not late or any(has_given_up(known.get(app.name)) for app in late)
        if done or time.monotonic() > give_up:
            return [_failure(app, known.get(app.name), before) for app in late]
        _wait_for_locks(late, var)


def _wait_for_locks(apps: Sequence[App], var: Path) -> None:
    """Wait until the lock files say that all are ready, or until PM2 should be asked again."""
    ask_at = time.monotonic() + _ASK_EVERY_S
    while time.monotonic() < ask_at:
        time.sleep(_LOOK_EVERY_S)
        held = [holder(lock_path(var, app.name)) for app in apps]
        if all(one and one.ready for one in held):
            return


def has_given_up(process: Process | None) -> bool:
    """Whether PM2 will not start the app again by itself, or does so in vain."""
    if process is None or process.status in {"stopped", "errored"}:
        return True
    if process.status != ONLINE and process.restarts >= _CRASHES:
        return True
    return process.exit_code == os.EX_CONFIG and not process.pid


def problem_of(process: Process | None) -> str:
    """Return in words why an app does not work; "" when it looks well to PM2."""
    if process is None:
        return "not started"
    if process.exit_code == os.EX_CONFIG and not process.pid:
        return "bad configuration"
    if process.exit_code == DRAINED and not process.pid:
        return "drained"
    if process.status == "waiting restart":
        return f"ended with status {process.exit_code}; PM2 starts it again"
    return "" if process.status == ONLINE else process.status


def _failure(app: App, process: Process | None, before: dict[Path, int]) -> Failure:
    problem = problem_of(process) or "started, but not ready"
    if process and process.restarts >= _CRASHES:
        problem = f"started {process.restarts + 1} times, ended with status {process.exit_code}"
    from cli import applogs

    return Failure(app.name, problem, applogs.since(Path(app.log), before, _LAST_LINES))
