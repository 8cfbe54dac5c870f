"""What this host alone can see: room on its disks, and apps that are down or go round in circles.

It becomes a standing problem (durable/problems.py), which `status` shows as well, and is sent by whoever is on watch.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import settings as types
from alerts.times import DOWN_S, LOOP_S, LOOP_STARTS
from durable import starts
from durable.problems import Problems
from durable.starts import Starts

#: A disk is well again with so much more than the threshold, so that it does not come and go.
_WELL = 1.05


class Host:
    """Looks at this host and tells what is wrong. `clock` is unix seconds."""

    def __init__(
        self,
        settings: types.Settings,
        problems: Problems,
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.settings, self.problems, self._wall = settings, problems, wall
        self._down_since: dict[str, float] = {}
        self._is_low: set[str] = set()
        self._begun = False

    def look(self) -> None:
        """Tell and clear. Raises redis.RedisError."""
        found = dict(self._apps()) | dict(self._disks())
        if not self._begun:
            self.problems.keep(("app", "disk"), set(found))  # of apps and folders that are gone
            self._begun = True
        for subject, text in found.items():
            if text:
                self.problems.tell(subject, text)
            else:
                self.problems.clear(subject)

    # -- apps

    def _apps(self) -> Iterator[tuple[str, str]]:
        for app in starts.all_starts(self.settings.var):
            if self._is_wanted(app):
                yield f"app:{app.app}", self.trouble_of(app)

    def _is_wanted(self, app: Starts) -> bool:
        if app.role == "redis":
            return self.settings.redis.mode == "embedded"
        try:
            self.settings.describe(app.role, app.arg)
        except (KeyError, ValueError):  # baton.yaml names it no more
            return False
        return True

    def trouble_of(self, app: Starts) -> str:
        """What is wrong with an app; "" when it works, was asked to go, or may yet come back."""
        now = self._wall()
        if loop := loop_of(app, now):
            return loop
        if starts.is_held(self.settings.var, app.app) or app.exit in starts.ASKED:
            self._down_since.pop(app.app, None)
            return ""
        if app.exit == os.EX_CONFIG:
            return "it stopped for a bad configuration, and stays so until that is mended"
        if now - self._down_since.setdefault(app.app, now) < DOWN_S:
            return ""
        how = "it was killed" if app.exit is None else f"it ended with status {app.exit}"
        return f"{how} and did not come back"

    # -- disks

    def _disks(self) -> Iterator[tuple[str, str]]:
        if self.settings.alerts is None:
            return
        least, seen = self.settings.alerts.disk_free, set()
        for folder in self._folders():
            try:
                device, left = folder.stat().st_dev, _left(folder)
            except OSError:  # a folder that is gone is its watcher's to tell
                continue
            if device in seen:
                continue
            seen.add(device)
            name = f"disk:{folder}"
            low = left < least * (_WELL if name in self._is_low else 1)
            (self._is_low.add if low else self._is_low.discard)(name)
            yield name, f"less than {least} is left on the disk of {folder}" if low else ""

    def _folders(self) -> Iterator[Path]:
        yield self.settings.var
        for watcher in self.settings.watchers.values():
            yield from (
                p for p in (watcher.path, watcher.done, watcher.failed) if isinstance(p, Path)
            )
        yield self.settings.workspaces


def loop_of(app: Starts, now: float) -> str:
    """Whether an app goes round in circles, in words; "" when it does not. `now` is unix seconds."""
    if sum(now - at < LOOP_S for at in app.crashes) < LOOP_STARTS:
        return ""
    return (
        f"a restart loop: it crashed {LOOP_STARTS} times or more within {LOOP_S / 60:.0f} minutes"
    )


def _left(folder: Path) -> int:
    """Bytes that this user may still write there."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
