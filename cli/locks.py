"""The lock of each app: taken by app.py for as long as the app lives, read by the command line.

A flock under `var/locks` is what keeps one name to one process, whatever PM2 believes.
"""

from __future__ import annotations

import fcntl
import os
import re
import signal
import time
from pathlib import Path
from typing import NamedTuple

# How long a second copy waits for the first to go. Longer than the longest stop (60 s, Redis).
PATIENCE_S = 600.0
_LOOK_EVERY_S = 0.1


class Holder(NamedTuple):
    """Who wrote into a lock file last; that process may be gone."""

    pid: int
    ready: bool


class Process(NamedTuple):
    """What a process table says of one process."""

    parent: int
    command: str


def lock_path(var: Path, name: str) -> Path:
    """Return where the lock of an app lives."""
    return var / "locks" / f"{name}.lock"


class Lock:
    """The right to be the process of one name on this machine, held until that process ends.

    The file holds the holder's pid on its first line and `ready` on its second once it is.
    It is never removed: a removed file can be locked twice.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def take(self) -> bool:
        """Take the lock if it is free."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        return True

    def mark_ready(self) -> None:
        """Note for `up` and `status` that the holder does its work now."""
        os.pwrite(self._fd, b"ready\n", os.fstat(self._fd).st_size)

    def outlive_exec(self) -> None:
        """Keep the lock when this process becomes the Redis server."""
        os.set_inheritable(self._fd, True)

    def close(self) -> None:
        """Let go of the lock."""
        os.close(self._fd)


def holder(path: Path) -> Holder | None:
    """Return who wrote the lock file last, without asking whether the lock is still held."""
    try:
        lines = path.read_text("ascii").split()
    except (OSError, UnicodeDecodeError):
        return None
    return Holder(int(lines[0]), "ready" in lines) if lines and lines[0].isdigit() else None


def live_holder(path: Path) -> Holder | None:
    """Return who holds the lock now; None when it is free."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        # Shared, so that two who look at once do not see each other.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return holder(path)
    finally:
        os.close(fd)
    return None


def wait_for(lock: Lock, role: str, arg: str, *, supervised: bool) -> bool:
    """Wait until the copy before this one has gone; False when it stays for PATIENCE_S.

    When PM2 was killed its copy works on as an orphan; the copy that the next PM2 starts asks
    it, once, to hand over. A copy that another living PM2 supervises is never asked: that PM2
    would start it again, and the two would take turns for ever.
    """
    import logging  # the apps have it; a verb that reads who holds a lock does without

    log = logging.getLogger(__name__)
    give_up = time.monotonic() + PATIENCE_S
    told = asked = False
    while not lock.take():
        first = holder(lock.path)
        if not told:
            log.info("another copy runs (pid %s); waiting for it", first.pid if first else "?")
            told = True
        if supervised and not asked and first and is_orphan(first.pid, role, arg):
            log.info("asking pid %d, which no PM2 supervises any more, to hand over", first.pid)
            os.kill(first.pid, signal.SIGINT)
            asked = True
        if time.monotonic() > give_up:
            return False
        time.sleep(_LOOK_EVERY_S)
    return True


def is_orphan(pid: int, role: str, arg: str) -> bool:
    """Whether a process is the app of this role and name, and no living PM2 supervises it."""
    found = process(pid)
    return bool(found and is_ours(found.command, role, arg) and supervisor(pid) is None)


def supervisor(pid: int) -> str | None:
    """Return the title of the PM2 daemon that is a process's parent, which names its PM2_HOME."""
    found = process(pid)
    parent = process(found.parent) if found else None
    return parent.command if parent and "God Daemon" in parent.command else None


def is_ours(command: str, role: str, arg: str) -> bool:
    """Whether a command line is that of the app of this role and name."""
    words = command.split()
    if role == "redis" and words and re.search(r"(valkey|redis)[^/]*$", words[0]):
        return True  # app.py became the server
    expected = [role, arg] if arg else [role]
    return any(word.endswith("app.py") for word in words) and words[-len(expected) :] == expected


def process(pid: int) -> Process | None:
    """Return the parent and the command line of a process; None when there is none."""
    folder = Path("/proc") / str(pid)
    if not Path("/proc/self/stat").exists():
        return _process_by_ps(pid)
    try:
        parent = (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[1]
        command = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
    except OSError:
        return None
    return Process(int(parent), command.decode("utf-8", "replace").strip())


def _process_by_ps(pid: int) -> Process | None:
    import subprocess

    question = ["ps", "-ww", "-o", "ppid=", "-o", "args=", "-p", str(pid)]
    answer = subprocess.run(question, capture_output=True, text=True, check=False).stdout
    found = answer.split(maxsplit=1)
    return Process(int(found[0]), found[1].strip()) if len(found) == 2 else None
