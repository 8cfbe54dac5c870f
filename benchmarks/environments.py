"""Throw-away environments for the peers: one each, because they disagree about redis-py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.arena import HERE, Peer

#: Label, file in peers/, flavour. Baton and Huey run in Baton's own environment, with the same redis-py.
_OWN = (
    ("Baton", "baton.py", ""),
    ("Huey RedisHuey", "huey.py", "RedisHuey"),
    ("Huey PriorityRedisHuey", "huey.py", "PriorityRedisHuey"),
)
_INSTALLED = (
    ("RQ Worker", "rq.py", "Worker"),
    ("RQ SimpleWorker", "rq.py", "SimpleWorker"),
    ("Dramatiq", "dramatiq.py", ""),
    ("Celery acks_late", "celery.py", ""),
    ("SAQ", "saq.py", ""),
    ("arq, poll 10 ms", "arq.py", ""),
    ("taskiq acks", "taskiq.py", ""),
)


def peers(folder: Path, wanted: list[str]) -> list[Peer]:
    """The queues whose label has one of the wanted words (all, without any); says what cannot be installed."""
    found = [
        Peer(label, f, sys.executable, flavour) for label, f, flavour in _OWN if _is(label, wanted)
    ]
    for label, file, flavour in _INSTALLED:
        python = _environment(folder, file.removesuffix(".py")) if _is(label, wanted) else None
        if python:
            found.append(Peer(label, file, str(python), flavour))
    return found


def _is(label: str, wanted: list[str]) -> bool:
    return not wanted or any(word.lower() in label.lower() for word in wanted)


def _environment(folder: Path, name: str) -> Path | None:
    """The Python of the peer's environment, made at the first call; None when pip fails, which it says."""
    python = folder / name / "bin" / "python"
    mark = folder / name / "installed"
    if mark.exists():
        return python
    wheels = next(line for line in _requirements() if line.startswith(name))
    subprocess.run([sys.executable, "-m", "venv", str(folder / name)], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*pip, *wheels.split()], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{name} is left out: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return None
    mark.touch()
    return python


def _requirements() -> list[str]:
    lines = (HERE / "requirements-peers.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]
