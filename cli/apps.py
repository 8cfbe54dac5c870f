"""Which PM2 apps an instance consists of, in the order in which they start.

The list comes from the settings alone. What PM2 does with it is in cli/pm2.py.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from settings import Settings

# A stop waits this long, in ms, before PM2 kills: a producer has at most one file or poll in
# hand; a consumer that is told to interrupt its runs needs the ladder (10 s) and its sweep;
# the server writes out what its append-only file has not yet on disk.
KILL_TIMEOUT_MS = {"producers": 10_000, "consumers": 30_000, "redis": 60_000}

STAGE = {
    "redis": "redis",
    "watch": "producers",
    "poll": "producers",
    "scheduler": "producers",
    "alerts": "producers",  # first down as they are: nobody is to be told of a stop
    "consumer": "consumers",
}
STOP_ORDER = ("producers", "consumers", "redis")

# What an app may see of the shell that started it; everything else stays outside.
# BATON_FAULT is for tests: a point in the code at which the process kills itself.
PASSED_ON = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ"),
    "BATON_FAULT",
)


class App(NamedTuple):
    """One process of the instance: `app.py role arg`, called `name` in PM2."""

    name: str
    role: str
    arg: str
    stage: str  # producers, consumers or redis; stops go stage by stage
    namespace: str  # "<instance>-<stage>", so that `pm2 stop` can do the same by hand
    kill_timeout_ms: int
    log: str  # what the app logs; what it prints past that is beside it, in .out
    out: str
    max_memory_bytes: int  # 0: no limit
    env: Mapping[str, str] = {}

    @property
    def fingerprint(self) -> str:
        """Changes whenever a restart would change what the process does."""
        return self.env.get("BATON_FINGERPRINT", "")


def app_name(instance: str, role: str, arg: str = "") -> str:
    """Return the name in PM2, in the lock folder and in the logs."""
    return f"{instance}-{role}-{arg}" if arg else f"{instance}-{role}"


def roles(settings: Settings) -> list[tuple[str, str]]:
    """Return every (role, arg) that these settings ask for, Redis first."""
    consumers = range(1, sum(group.count for group in settings.consumers) + 1)
    return [
        *([("redis", "")] if settings.redis.mode == "embedded" else []),
        *(("watch", name) for name in settings.watchers),
        *(("poll", name) for name in settings.pollers),
        ("scheduler", ""),
        *([("alerts", "")] if sends_alerts(settings) else []),
        *(("consumer", str(number)) for number in consumers),
    ]


def sends_alerts(settings: Settings) -> bool:
    """Whether anybody is to be told of anything."""
    pings = [settings.ping_url, *(entry.ping_url for entry in settings.schedules.values())]
    return settings.alerts is not None or any(pings)


def planned(settings: Settings, environ: Mapping[str, str]) -> list[App]:
    """Return the apps in the order in which they start."""
    from cli.fingerprint import fingerprint

    shared = {name: environ[name] for name in PASSED_ON if environ.get(name)}
    shared |= {"BATON_CONFIG": str(settings.config), "BATON_VAR": str(settings.var)}
    return [
        _app(settings, role, arg, shared | {"BATON_FINGERPRINT": fingerprint(settings, role, arg)})
        for role, arg in roles(settings)
    ]


def _app(settings: Settings, role: str, arg: str, env: dict[str, str]) -> App:
    name, stage = app_name(settings.instance, role, arg), STAGE[role]
    log = settings.var / "logs" / f"{name}.log"
    return App(
        name=name,
        role=role,
        arg=arg,
        stage=stage,
        namespace=f"{settings.instance}-{stage}",
        kill_timeout_ms=KILL_TIMEOUT_MS[stage],
        log=str(log),
        out=str(log.with_suffix(".out")),
        # The server's memory is its data: a restart would not make it smaller.
        max_memory_bytes=0 if stage == "redis" else int(settings.max_memory),
        env=env | {"BATON_LOG": str(log)},
    )


def stage_of(name: str, instance: str) -> str | None:
    """Return the stage of an app of this instance by its name; None for any other name."""
    shape = rf"{re.escape(instance)}-(redis|scheduler|alerts|watch-.+|poll-.+|consumer-\d+)"
    found = re.fullmatch(shape, name)
    return STAGE[found[1].split("-")[0]] if found else None


def apps(args: argparse.Namespace) -> int:
    """Print the list; ecosystem.config.js reads it with `--json`."""
    import os

    from settings import load

    settings = load()
    (settings.var / "logs").mkdir(mode=0o700, parents=True, exist_ok=True)
    found = planned(settings, os.environ)
    if args.json:
        print(json.dumps([app._asdict() for app in found]))
    else:
        print("\n".join(app.name for app in found))
    return 0
