"""Consumers that baton.yaml no longer names: asked to go, waited for while idle, left alone while they work."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from cli.apps import App
from cli.locks import live_holder, lock_path
from consumers.draining import Mark

if TYPE_CHECKING:
    from durable.store import LeaseStore
    from settings import Settings

#: An idle consumer looks up within 5 s, also when it does not hear that it is nudged.
_PATIENCE_S = 6.0
_LOOK_EVERY_S = 0.1


def withdraw(settings: Settings, plan: Iterable[App]) -> set[str]:
    """Tell those that are wanted again; the names of those for which that is too late."""
    names = (app.name for app in plan if app.role == "consumer")
    return {name for name in names if not Mark(settings.var, name).withdraw()}


def ask(settings: Settings, names: Sequence[str]) -> None:
    """Let each of them go when it has no task in hand."""
    for name in names:
        Mark(settings.var, name).ask()


def wait(settings: Settings, names: Sequence[str]) -> tuple[str, ...]:
    """Wait for the idle ones to go; the names of those that have a task to finish."""
    from redis import RedisError

    from cli import queue

    left, give_up = list(names), time.monotonic() + _PATIENCE_S
    while left and time.monotonic() < give_up:
        with contextlib.suppress(RedisError):  # without Redis nobody can say who is idle
            store = queue.store()
            idle = [name for name in left if not store.held_by(_owner(settings, name))]
            _nudge(store, [_owner(settings, name) for name in idle])
            if not idle:
                break
        time.sleep(_LOOK_EVERY_S)
        left = [name for name in left if live_holder(lock_path(settings.var, name))]
    return tuple(left)


def forget(settings: Settings, names: Iterable[str]) -> None:
    """Of apps that PM2 does not know any more nothing is left."""
    for name in names:
        Mark(settings.var, name).withdraw()


def forget_all(settings: Settings) -> None:
    """After a `down`, whatever was marked."""
    for file in (settings.var / "draining").glob("*"):
        file.unlink(missing_ok=True)


def _owner(settings: Settings, app: str) -> str:
    from durable import identity

    return identity.owner(settings.var, app.removeprefix(f"{settings.instance}-"))


def _nudge(store: LeaseStore, owners: Sequence[str]) -> None:
    for owner in owners:
        store.nudge(owner)
