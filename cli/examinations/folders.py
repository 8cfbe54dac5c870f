"""The folders: writable, private, and each watched one on one file system with where its files go."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cli.apps import app_name
from cli.examinations.findings import Finding
from durable.starts import is_held

if TYPE_CHECKING:
    from settings import Settings, Watcher


def examine(settings: Settings) -> Iterator[Finding]:
    """Findings on the state folder and on every watched one."""
    yield writable("var", settings.var)
    yield from private(settings)
    for name, watcher in settings.watchers.items():
        found = [writable(name, folder) for folder in _places(watcher)]
        wrong = [finding for finding in found if finding.verdict != "ok"]
        if wrong or not _waited_for(settings, name, watcher):
            yield from wrong or found[:1]
        yield from one_file_system(name, watcher)


def _waited_for(settings: Settings, name: str, watcher: Watcher) -> bool:
    """Whether it is gone under a watcher that lives: that one makes it no more, and has told of it."""
    if watcher.path.exists():
        return False
    return is_held(settings.var, app_name(settings.instance, "watch", name))


def _places(watcher: Watcher) -> list[Path]:
    """The watched folder first, then where its files are claimed and put away."""
    away = [folder for folder in (watcher.done, watcher.failed) if isinstance(folder, Path)]
    return [watcher.path, watcher.path / ".claimed", *away]


def writable(name: str, folder: Path) -> Finding:
    """Whether files can be made in it, or it can be made."""
    there = _existing(folder)
    if not there.is_dir():
        return Finding("bad", name, f"{there} is no folder", "move it away, or name another folder")
    if not os.access(there, os.W_OK | os.X_OK):
        remedy = f"chown or chmod {there}, or mount it writable"
        return Finding("bad", name, f"{there} cannot be written", remedy)
    return Finding("ok", name, f"{folder}{'' if there == folder else ' can be made'}")


def private(settings: Settings) -> Iterator[Finding]:
    """The state folder holds prompts and answers: nobody else's business."""
    if settings.var.exists() and (mode := settings.var.stat().st_mode & 0o077):
        words = f"{settings.var} is open to others (mode {mode:o} for group and others)"
        yield Finding("warn", "var", words, f"chmod 700 {settings.var}")


def one_file_system(name: str, watcher: Watcher) -> Iterator[Finding]:
    """Across file systems a move is a copy: slow, and a claim would be none."""
    own = _device(watcher.path)
    claimed = watcher.path / ".claimed"
    if _device(claimed) != own:
        words = f"{claimed} lies on another file system than {watcher.path}: nothing can be claimed"
        yield Finding("bad", name, words, f"unmount {claimed}")
    for folder in _places(watcher)[2:]:
        if _device(folder) != own:
            words = f"{folder} lies on another file system: files are copied there, not moved"
            yield Finding("warn", name, words, f"a folder on the file system of {watcher.path}")


def _device(folder: Path) -> int:
    return _existing(folder).stat().st_dev


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next(path for path in (folder, *folder.parents) if path.exists())
