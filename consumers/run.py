"""One run, from the lock to exit.json: what the runner does.

Its order, so that nobody meets a run without its lock or an end without its word: lock,
runner.json, socket, claude … no process left, TMPDIR gone, exit.json, socket gone.
"""

from __future__ import annotations

import fcntl
import os
import resource
import sys
import time

from consumers import light, processes, spawning
from consumers.supervision import Supervision

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NOT_OURS = 75
"""EX_TEMPFAIL of sysexits.h."""

LOCK_WITHIN_S = 2.0
"""A consumer takes the lock for a moment, to see whether a runner is alive."""


def run(folder: str) -> int:
    """Run the attempt in `folder`; 0 when it has ended, whatever came of it.

    75: another runner has the folder, or the attempt ended (or was given up) before.
    """
    os.umask(0o077)
    os.closerange(3, 4096)  # a lock or a socket of whoever started us must not live on in here
    os.chdir(folder)
    lock = take_lock("runner.lock")
    if lock is None or os.path.exists("exit.json"):
        return NOT_OURS
    started_at = time.time()
    try:
        write_whole("runner.json", who_we_are())
        with open("command.json", "rb") as file:
            command = light.loads(file.read())
        supervision = Supervision(command)
    except (OSError, ValueError, KeyError, TypeError) as error:
        # Not claude's fault or the task's: without a number it counts as a crash.
        end = failed(error) | {"spawn_errno": None} | times(started_at)
        write_whole("exit.json", end, durable=True)
        return 0
    try:
        end = attempt(command, supervision)
        write_whole("exit.json", end | times(started_at), durable=True)
    finally:
        supervision.control.close()
    return 0


def attempt(command: dict[str, Any], supervision: Supervision) -> dict[str, Any]:
    """From before the start of claude until nothing of it is left; returns how it ended."""
    tmpdir, made = command["tmpdir"], False
    if supervision.is_over():  # the consumer was stopped meanwhile, and the lease may be given on
        return ended(supervision, [])
    try:
        os.makedirs(tmpdir, 0o700)
        made = True
        claude, stream = spawning.spawn(command)
    except OSError as error:
        return failed(error)
    else:
        supervision.watch(claude, stream)
    finally:  # also when the runner itself fails: its children must not outlive it
        survivors = supervision.clear()
        if made:
            remove_tree(tmpdir)
    return ended(supervision, survivors)


def ended(supervision: Supervision, survivors: list[int]) -> dict[str, Any]:
    """What exit.json says of a claude that ran."""
    code = os.waitstatus_to_exitcode(supervision.status or 0)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "exit_code": code if code >= 0 else None,
        "signal": -code if code < 0 else None,
        "stopped": supervision.stopped,
        "tool": supervision.limits.tool,
        "leftovers": len(supervision.killed),
        "survivors": len(survivors),
        "max_rss_kb": used.ru_maxrss // (1 if processes.LINUX else 1024),  # macOS says bytes
        "cpu_s": round(used.ru_utime + used.ru_stime, 3),
        "spawn_error": None,
        "spawn_errno": None,
    }


def failed(error: Exception) -> dict[str, Any]:
    """What exit.json says when claude never started."""
    return {
        "exit_code": None,
        "signal": None,
        "stopped": None,
        "tool": "",
        "leftovers": 0,
        "survivors": 0,
        "max_rss_kb": 0,
        "cpu_s": 0.0,
        "spawn_error": describe(error),
        "spawn_errno": error.errno if isinstance(error, OSError) else None,
    }


def describe(error: Exception) -> str:
    """One line: what was wrong, and with which file."""
    if isinstance(error, KeyError):
        return f"command.json has no {error}"
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
    return f"command.json: {error}"


def times(started_at: float) -> dict[str, float]:
    """Unix seconds."""
    return {"started_at": started_at, "ended_at": time.time()}


def who_we_are() -> dict[str, Any]:
    """What runner.json says: enough to tell this process from a later one with the same pid."""
    return {
        "pid": os.getpid(),
        "start_time": processes.start_time(os.getpid()),
        "boot_id": processes.boot_id(),
    }


def take_lock(path: str) -> int | None:
    """The descriptor that holds the lock for as long as it is open, or None: somebody has it."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    until = time.monotonic() + LOCK_WITHIN_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                os.close(file)
                return None
            time.sleep(0.01)
        else:
            return file


def write_whole(path: str, row: dict[str, Any], *, durable: bool = False) -> None:
    """Write one JSON object so that a reader finds all or nothing, after a power cut too."""
    with open(f"{path}.new", "w", encoding="ascii") as file:
        file.write(light.dumps(row) + "\n")
        if durable:
            file.flush()
            os.fsync(file.fileno())
    os.replace(f"{path}.new", path)
    if durable:
        folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def remove_tree(path: str) -> None:
    """Remove a folder and all in it; what may not be removed stays. No link is followed.

    shutil.rmtree would do, but imports five compression libraries, and stops at a folder without
    permissions, as package managers leave them.
    """
    try:
        if os.path.islink(path):  # claude may have put a link to anywhere in its place
            os.unlink(path)
            return
        os.chmod(path, 0o700)
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    remove_tree(entry.path)
                else:
                    os.unlink(entry.path)
        os.rmdir(path)
    except (OSError, RecursionError) as error:
        sys.stderr.write(f"{path} could not be removed: {error}\n")
