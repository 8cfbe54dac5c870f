"""The machine: Python, Node, open files, inotify, the time zone, free disk."""

from __future__ import annotations

import os
import platform
import re
import resource
import shutil
import subprocess
import time
import zoneinfo
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cli.examinations.findings import Finding

if TYPE_CHECKING:
    from settings import Settings

_FILES = 1024
_OLDEST_NODE = 18  # what PM2 asks for
#: Free disk below which a look is due, and below which work stops soon, bytes.
_LOOK_BYTES, _BAD_BYTES = 2_000_000_000, 200_000_000
_INODES = 1000
#: Folders that one user may watch (the kernel's own default on small machines), and the share of instances in use.
_WATCHES, _FULL = 8192, 0.9
_ASK_WITHIN_S = 5.0


def examine(settings: Settings) -> Iterator[Finding]:
    """Findings on the machine."""
    yield Finding("ok", "Python", f"{platform.python_version()} on {platform.system()}")
    yield node(os.environ.get("BATON_NODE", ""), os.environ.get("PATH", os.defpath))
    yield open_files()
    if settings.watchers:
        yield from inotify(Path("/proc"))
    yield time_zone(settings)
    yield disk(settings.var)


def node(ours: str, path: str) -> Finding:
    """The Node.js that runs PM2: the one that `./baton` has chosen, else the first on PATH."""
    found = shutil.which("node", path=f"{ours}{os.pathsep}{path}" if ours else path)
    remedy = f"install Node.js {_OLDEST_NODE} or newer, or run ./baton up, which fetches one"
    if not found:
        return Finding("bad", "Node", "there is no Node.js, so PM2 cannot run", remedy)
    said = _said([found, "--version"])
    major = re.match(r"v(\d+)\.", said)
    if not major:
        return Finding("bad", "Node", f"{found} does not say its version", remedy)
    if int(major[1]) < _OLDEST_NODE:
        return Finding("bad", "Node", f"{said} at {found} is too old for PM2", remedy)
    return Finding("ok", "Node", f"{said} ({found})")


def _said(command: list[str]) -> str:
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_ASK_WITHIN_S,
            check=False,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def open_files() -> Finding:
    """How many files a process may hold open."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files != resource.RLIM_INFINITY and files < _FILES:
        remedy = "raise it: ulimit -n 4096, or LimitNOFILE= of the service"
        return Finding("warn", "files", f"only {files} open files are allowed", remedy)
    return Finding("ok", "files", f"{files} open files are allowed")


def inotify(proc: Path) -> Iterator[Finding]:
    """What the kernel allows in watched folders; without room a watcher looks every few seconds instead."""
    try:
        limits = proc / "sys" / "fs" / "inotify"
        watches = int((limits / "max_user_watches").read_text())
        instances = int((limits / "max_user_instances").read_text())
    except (OSError, ValueError):
        return  # no Linux: there is no such limit
    used = _inotify_instances(proc)
    if used >= instances * _FULL:
        remedy = f"raise it: sysctl fs.inotify.max_user_instances={max(512, 2 * instances)}"
        words = f"{used} of {instances} inotify instances are in use: new watchers see no events"
        yield Finding("warn", "inotify", words, remedy)
    elif watches < _WATCHES:
        remedy = "raise it: sysctl fs.inotify.max_user_watches=65536"
        words = f"only {watches} folders may be watched; recursive watchers need one for each"
        yield Finding("warn", "inotify", words, remedy)
    else:
        yield Finding("ok", "inotify", f"{used} of {instances} instances, {watches} folders")


def _inotify_instances(proc: Path) -> int:
    """Those of this user, as far as /proc shows them."""
    count = 0
    for entry in os.scandir(proc):
        if not entry.name.isdigit():
            continue
        try:
            if entry.stat().st_uid != os.getuid():
                continue
            files = os.scandir(Path(entry.path, "fd"))
            count += sum(os.readlink(file.path) == "anon_inode:inotify" for file in files)
        except OSError:  # it has ended, or is not ours to look at
            continue
    return count


def time_zone(settings: Settings) -> Finding:
    """Whether the zone that days and schedules go by is known here."""
    named = {settings.timezone, *(entry.timezone for entry in settings.schedules.values())}
    try:
        for name in filter(None, (*named, "Europe/Berlin")):
            zoneinfo.ZoneInfo(name)
    except zoneinfo.ZoneInfoNotFoundError as error:
        remedy = "install the system's tzdata, or run ./baton up, which fetches Python's"
        return Finding("bad", "zones", f"there are no time zone data: {error}", remedy)
    own = settings.timezone or f"the machine's ({time.strftime('%Z')})"
    return Finding("ok", "zones", f"days and schedules go by {own} unless they name another")


def disk(var: Path) -> Finding:
    """Room where the state lies, in bytes and in files."""
    there = next(path for path in (var, *var.parents) if path.exists())
    room = os.statvfs(there)
    free = room.f_bavail * room.f_frsize
    remedy = "make room: a full disk stops the queue (nothing accepted is lost)"
    if room.f_files and room.f_favail < _INODES:
        return Finding("bad", "disk", f"only {room.f_favail} more files fit at {var}", remedy)
    verdict = "bad" if free < _BAD_BYTES else "warn" if free < _LOOK_BYTES else "ok"
    words = f"{free / 1e9:.1f} GB are free where {var} lies"
    return Finding(verdict, "disk", words, "" if verdict == "ok" else remedy)
