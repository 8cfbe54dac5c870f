"""The watched folder itself: is it there, is it still the same one, do its events arrive."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

from durable.patience import Patience
from producers import events
from producers.naming import writable

log = logging.getLogger(__name__)

POLL_S = 2.0  # between looks where events cannot be had


class Folder:
    """A folder that may be missing, vanish, or be replaced; `ring` is called when something happens."""

    def __init__(self, path: Path, ring: Callable[[], None], *, recursive: bool) -> None:
        self.path, self.root = path, os.fsencode(path)
        self.recursive = recursive
        self.missing = Patience(f"folder {writable(self.root)}", log, first_s=1.0)
        self.present = False
        self._ring = ring
        self._events: events.Events | None = None
        self._known: tuple[int, int] | None = None  # device and inode of the folder last seen

    @property
    def mode(self) -> str:
        """`events`, `polling` or `missing`."""
        if not self.present:
            return "missing"
        return "events" if self._events else "polling"

    def look(self, now: float) -> bool:
        """See whether the folder is there; True when it is another one than at the last look."""
        try:
            found = self._identity()
        except OSError as error:
            self.present = False
            self.close()
            self.missing.failed(now, f"cannot be watched: {error.strerror or error}")
            return False
        back = not self.present
        self.missing.worked()
        self.present = True
        replaced = found != self._known
        if replaced or back or (self._events and not self._events.alive()):
            self._known = found
            self._listen()
        return replaced

    def close(self) -> None:
        """Stop listening for events."""
        if self._events:
            self._events.close()
            self._events = None

    def _identity(self) -> tuple[int, int]:
        if self._known is None and not os.path.lexists(self.root):
            os.mkdir(self.root)  # a first use; one that vanishes later is somebody's wish
            log.info("created %s", writable(self.root))
        os.scandir(self.root).close()  # raises when it is no folder or closed to us
        status = os.stat(self.root)
        return status.st_dev, status.st_ino

    def _listen(self) -> None:
        self.close()
        kind = events.untrusted(self.path)
        try:
            if kind:
                raise OSError(f"a {kind} file system does not tell them all")
            self._events = events.watch(self.root, self._ring, recursive=self.recursive)
        except OSError as error:
            log.warning("no file events: %s; looking every %g s instead", error, POLL_S)
