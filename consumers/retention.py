"""Keeps the folders of attempts within a size: the oldest finished tasks' go first, and whatever nobody knows any more.

What runs, waits, or may still be resumed stays, even where that is more than allowed. Only what lies in `var/attempts`
is ours: the sessions that claude keeps under ~/.claude are not touched.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from consumers import folder as folders
from durable.records import State
from durable.store import LeaseStore

if TYPE_CHECKING:
    from settings import Settings

log = logging.getLogger(__name__)

#: From the end of one look at all folders to the beginning of the next, s.
SWEEP_EVERY_S = 600.0
#: The longest that a housekeeper works at it in one of its rounds, s, but for the folder that it is at.
STEP_S = 0.1
#: For so long a failed or cancelled task may be sent back with `retry --resume`, ms: a day.
RESUMABLE_MS = 86_400_000
_BATCH = 50
_BLOCK_BYTES = 512  # what st_blocks counts in, on every system


class Ended(NamedTuple):
    """A finished task that left folders; they sort by when it ended."""

    finished_ms: int
    id: str
    size: int


class Retention:
    """One consumer's part in it. Of several consumers on one state folder one sweeps at a time."""

    def __init__(self, settings: Settings, store: LeaseStore) -> None:
        self.settings, self.store = settings, store
        self.attempts = settings.var / "attempts"
        self._work: Iterator[None] | None = None
        self._next = 0.0

    def step(self) -> None:
        """Go on with the sweep for a tenth of a second; nothing when none is due. Raises redis.RedisError."""
        began = time.monotonic()
        if self._work is None and began < self._next:
            return
        work = self._work or self._sweep()
        self._work, self._next = None, began + SWEEP_EVERY_S  # also when Redis breaks it off
        for _ in work:
            if time.monotonic() - began >= STEP_S:
                self._work = work
                return

    def _sweep(self) -> Iterator[None]:
        """Look at every folder, then remove what is too much; a piece of work at a time."""
        if not self.attempts.is_dir():
            return
        with _alone(self.settings.var / "attempts.lock") as mine:
            if not mine:
                return
            total, ended = 0, list[Ended]()
            names = _listed(self.attempts)
            for start in range(0, len(names), _BATCH):
                batch = names[start : start + _BATCH]
                for name, end in zip(batch, self.store.ends(batch), strict=True):
                    size = self._size_or_gone(name) if end is None else _size(self.attempts / name)
                    total += size
                    if end is not None and self._may_go(end):
                        ended.append(Ended(end[1], name, size))
                    yield
            yield from self._shrink(total, sorted(ended))

    def _shrink(self, total: int, ended: list[Ended]) -> Iterator[None]:
        most, removed = self.settings.attempts_max_size, 0
        for one in ended:
            if total <= most:
                break
            [end] = self.store.ends([one.id])  # it may have been sent back meanwhile
            if end is not None and self._may_go(end) and end[1] == one.finished_ms:
                self._remove(one.id)
                total, removed = total - one.size, removed + 1
            yield
        if removed:
            log.info("the attempts of %d finished tasks were removed: attempts_max_size", removed)
        if total > most:
            log.warning(
                "attempts take %s MB, more than attempts_max_size (%s): none of them may go, their tasks are at "
                "work, wait, or failed within a day",
                total // 10**6,
                most,
            )

    def _may_go(self, end: tuple[State, int]) -> bool:
        state, finished_ms = end
        if state is State.SUCCEEDED:
            return True
        return state.final and finished_ms < self._now_ms() - RESUMABLE_MS

    def _now_ms(self) -> float:
        return time.time() * 1000  # a day is long enough for clocks that differ

    def _size_or_gone(self, name: str) -> int:
        """Of a folder whose task nobody knows: what it takes, or 0 when it was old enough to remove."""
        if time.time() - _newest(self.attempts / name) < self.settings.keep_finished:
            return _size(self.attempts / name)
        self._remove(name)
        log.info("the attempts of task %s, which is no longer known, were removed", name)
        return 0

    def _remove(self, name: str) -> None:
        """Remove the attempts that there are now, but for one that lives; one that begins now has a new number."""
        folder = self.attempts / name
        for attempt in _listed(folder):
            if folders.living(folder / attempt) is None:
                shutil.rmtree(folder / attempt, ignore_errors=True)
        with contextlib.suppress(OSError):  # a new attempt may be in it
            folder.rmdir()


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Whether no other process sweeps meanwhile; the kernel frees the lock of one that was killed."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(fd)


def _listed(folder: Path) -> list[str]:
    """The names of the folders in a folder; links are none."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _size(folder: Path | str) -> int:
    """Bytes on disk of all below."""
    total = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                total += _size(entry.path)
            else:
                with contextlib.suppress(OSError):
                    total += entry.stat(follow_symlinks=False).st_blocks * _BLOCK_BYTES
    return total


def _newest(folder: Path) -> float:
    """When something was last made or removed in a task's folder or in one of its attempts, Unix seconds."""
    places = (folder, *(folder / name for name in _listed(folder)))
    times = [0.0]
    for place in places:
        with contextlib.suppress(OSError):
            times.append(place.stat().st_mtime)
    return max(times)
