"""A process group that ends with us, however we end, and that only one of us has at a time.

A poller that is killed with SIGKILL can end nothing any more. So a guard is started first, whose input is a
pipe that only we hold: the kernel closes it with us, and the guard then kills the group, itself included.
Whatever joins the group is ended by that, from its first moment on. The guard also holds a lock on a file,
which is free again when the group is gone: until then no other process begins the same.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_LOOK_S = 0.05
#: SIGTERM goes to the whole group when a program is to end; the guard outlasts it.
_SCRIPT = "trap '' TERM INT HUP; read nothing; kill -KILL 0"


@contextmanager
def guarded(lock: Path, check: Callable[[], None]) -> Iterator[int]:
    """The id of the group; it is killed at the end. `check` is called while another one has the lock, and may raise."""
    lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _take(fd, check)
        guard = subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={},
            pass_fds=(fd,),
            process_group=0,
        )
        try:
            yield guard.pid
        finally:
            signal_group(guard.pid, signal.SIGKILL)
            guard.communicate()
    finally:
        os.close(fd)


def signal_group(group: int, number: signal.Signals) -> None:
    """Send a signal to all of a group; one that is gone has it already."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _take(fd: int, check: Callable[[], None]) -> None:
    while True:
        try:
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            check()
            time.sleep(_LOOK_S)
