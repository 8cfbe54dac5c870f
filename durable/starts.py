"""How the processes of each app of this folder came and went: what shows a restart loop without asking PM2.

app.py notes the starts and the ends that it sees itself; of a process that was killed there is no end.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import time
from pathlib import Path

import msgspec

log = logging.getLogger(__name__)

#: So many crashes are remembered.
KEPT = 20
#: Exit statuses of a process that was asked to go: stopped, drained.
ASKED = (0, 79)


class Starts(msgspec.Struct, kw_only=True):
    """What is known of one app. Unix seconds."""

    app: str
    role: str
    arg: str = ""
    crashes: list[float] = []  # when it was started again, though nobody had asked it to go
    exit: int | None = None  # of the last process; None while it runs, or when it was killed


def note_start(var: Path, app: str, role: str, arg: str) -> None:
    """A process of this app begins."""
    found = _read(_file(var, app)) or Starts(app=app, role=role, arg=arg, exit=0)
    if found.exit not in ASKED:
        found.crashes = [*found.crashes, time.time()][-KEPT:]
    found.exit = None
    _write(var, found)


def note_end(var: Path, app: str, status: int) -> None:
    """It ends with this exit status."""
    found = _read(_file(var, app))
    if found is not None:
        found.exit = status
        _write(var, found)


def all_starts(var: Path) -> list[Starts]:
    """What is known of every app that was ever started here."""
    found = (_read(file) for file in sorted((var / "starts").glob("*.json")))
    return [one for one in found if one is not None]


def is_held(var: Path, app: str) -> bool:
    """Whether a process has the lock of this app: whether it lives."""
    try:
        fd = os.open(var / "locks" / f"{app}.lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two who look do not see each other
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _file(var: Path, app: str) -> Path:
    return var / "starts" / f"{app}.json"


def _read(file: Path) -> Starts | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Starts)
    except (OSError, msgspec.MsgspecError):  # none yet, or not ours: a new one takes its place
        return None


def _write(var: Path, found: Starts) -> None:
    """A full disk costs this note, never the app: one that does not start could not tell of the disk either."""
    file = _file(var, found.app)
    draft = file.with_suffix(f".{os.getpid()}")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.write_bytes(msgspec.json.encode(found))
        draft.replace(file)
    except OSError as error:
        log.warning("%s cannot be written: %s", file, error)
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
