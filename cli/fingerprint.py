"""A short hash of all that decides what an app does: `up` restarts it only when this changes."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from settings import Settings

# By the direction of the imports a role can only load these parts of the repository, so a
# change in the consumers restarts no watcher, and only the server's own code restarts Redis.
_ENTRY = (
    *("app.py", "cli/apps.py", "cli/applogs.py", "cli/locks.py", "cli/outputs.py"),
    *("durable/logfile.py", "ecosystem.config.js", "requirements.txt"),
)
_QUEUE = (*_ENTRY, "settings/**/*.py", "tasks.py", "durable/**/*.py", "durable/**/*.lua")
_PARTS = {
    "redis": (*_ENTRY, "durable/server.py"),
    "watch": (*_QUEUE, "producers/**/*.py"),
    "poll": (*_QUEUE, "producers/**/*.py"),
    "scheduler": (*_QUEUE, "producers/**/*.py"),
    "consumer": (*_QUEUE, "consumers/**/*.py"),
    "alerts": (*_QUEUE, "producers/**/*.py", "alerts/**/*.py"),
}
_RUNS_USER_TASKS = ("scheduler", "consumer")


def fingerprint(settings: Settings, role: str, arg: str) -> str:
    """Return 16 hex digits over the role's settings, its source, its packages and its Python."""
    digest = hashlib.sha256()
    described = settings.describe(role, arg)
    digest.update(json.dumps(described, sort_keys=True, default=str).encode())
    digest.update(f"{sys.executable} {sys.version}".encode())
    for path in _sources(settings, role):
        digest.update(f"\0{path}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _sources(settings: Settings, role: str) -> Iterator[Path]:
    for pattern in _PARTS[role]:
        yield from sorted(settings.root.glob(pattern))
    for module in settings.tasks if role in _RUNS_USER_TASKS else ():
        path = settings.base.joinpath(*module.split("."))
        yield from sorted(path.rglob("*.py"))
        yield from filter(Path.is_file, [path.with_suffix(".py")])
