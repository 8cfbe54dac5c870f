"""File events as a doorbell. They say when to look, never what to believe; a scan decides."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import Any, Protocol

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

_LIMITS = {
    errno.EMFILE: ("instances", "max_user_instances", 1024),
    errno.ENOSPC: ("watches", "max_user_watches", 524_288),
}


class Events(Protocol):
    """A running watch on one folder."""

    def alive(self) -> bool:
        """Whether events still arrive."""

    def close(self) -> None:
        """Stop watching."""


def watch(folder: bytes, ring: Callable[[], None], *, recursive: bool) -> Events:
    """Have `ring` called on every change in `folder`. Raises OSError where that cannot be had."""
    if sys.platform == "linux" and not recursive:
        return _Inotify(folder, ring)
    return _Observed(folder, ring, recursive)


def refusal(error: OSError) -> str:
    """Why the system gives no events, and what to do about it, of what `watch` raised."""
    if error.errno not in _LIMITS:
        return f"no file events: {error.strerror or error}"
    what, name, enough = _LIMITS[error.errno]
    limit = f"the system's limit of inotify {what} is reached"
    return f"no file events: {limit}; raise it: sudo sysctl -w fs.inotify.{name}={enough}"


class _Inotify:
    """Straight on watchdog's inotify reader, without its queues.

    watchdog's Observer keeps every file moved out (each of our claims) back for half a second,
    with all events behind it, searches its queue for each file moved in, and tells nobody of an
    overflow. A doorbell needs none of that. Changes of a file that has been seen are not asked
    for: it is looked at when its quiet time is over.
    """

    def __init__(self, folder: bytes, ring: Callable[[], None]) -> None:
        from watchdog.observers.inotify_c import CallbackId, InotifyFD, Mask
        from watchdog.observers.inotify_c import InotifyConstants as In

        mask = In.IN_CREATE | In.IN_MOVED_TO | In.IN_CLOSE_WRITE | In.IN_ATTRIB
        mask |= In.IN_DELETE_SELF | In.IN_MOVE_SELF | In.IN_ONLYDIR
        self._ring = ring
        self._deleted = False
        self._reader: Any = InotifyFD()
        self._reader.start()
        try:
            descriptor = self._reader.add_callback(folder, Mask(mask), self, CallbackId(id(self)))
            if descriptor == -1:  # watchdog answers so, and raises nothing, where access is denied
                raise PermissionError(f"no permission to watch {os.fsdecode(folder)}")
        except OSError:
            self.close()
            raise

    def on_event(self, event: object) -> None:
        """Called by watchdog for every event."""
        self._ring()

    def on_queue_overflow(self) -> None:
        """Called by watchdog when the kernel has thrown events away."""
        self._ring()

    def on_watch_deleted(self, descriptor: object) -> None:
        """Called by watchdog when the folder is gone."""
        self._deleted = True
        self._ring()

    def alive(self) -> bool:
        """Whether events still arrive."""
        return not self._deleted and bool(self._reader.is_alive())

    def close(self) -> None:
        """Stop watching."""
        self._reader.stop()
        self._reader.join(timeout=1.0)


class _Observed(FileSystemEventHandler):
    """watchdog's own Observer: folders below, and systems without inotify."""

    def __init__(self, folder: bytes, ring: Callable[[], None], recursive: bool) -> None:
        self._ring = ring
        self._observer: Any = Observer()
        self._observer.schedule(self, os.fsdecode(folder), recursive=recursive)
        self._observer.start()

    def dispatch(self, event: FileSystemEvent) -> None:
        """Ring for whatever may have changed a file; reading, which scans do, changes none."""
        if event.event_type not in ("opened", "closed_no_write"):
            self._ring()

    def alive(self) -> bool:
        """Whether events still arrive."""
        watching = (self._observer, *self._observer.emitters)
        return all(thread.is_alive() for thread in watching)

    def close(self) -> None:
        """Stop watching."""
        self._observer.stop()
        self._observer.join(timeout=1.0)
