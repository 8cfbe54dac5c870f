"""The watched folder itself: is it there, is it still the same one, do its events arrive."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path

from durable.patience import Patience
from producers import events, mounts
from producers.naming import writable
from producers.residence import Residence, UnmountedError

log = logging.getLogger(__name__)

POLL_S = 2.0  # between looks where events cannot be had
EVENTS_AGAIN_S = 4.0  # until they are asked for again, where the system had none to give


class Folder:
    """A folder that may be missing, vanish, or be replaced; `ring` is called when something happens."""

    def __init__(
        self, path: Path, ring: Callable[[], None], *, recursive: bool, notes: Path | None = None
    ) -> None:
        self.path, self.root = path, os.fsencode(path)
        self.recursive = recursive
        self.missing = Patience(f"folder {writable(self.root)}", log, first_s=1.0, cap_s=POLL_S)
        self.present = False
        self.mount: mounts.Mount | None = None
        self.without_events = ""  # why the system gives none, although this file system has them
        self._ring = ring
        self._residence = Residence(notes, path)
        self._events: events.Events | None = None
        self._events_at = 0.0
        self._known: tuple[int, int] | None = None  # device and inode of the folder last seen

    @property
    def mode(self) -> str:
        """`events`, `polling` or `missing`."""
        if not self.present:
            return "missing"
        return "events" if self._events else "polling"

    @property
    def problem(self) -> str:
        """What a person should see to; "" when all is well. A network share is polled, and well."""
        if self.missing.problem:
            return f"{self.missing.what}: {self.missing.problem}"
        return self.without_events

    def look(self, now: float) -> bool:
        """See whether the folder is there; True when it may be another one than at the last look."""
        try:
            found = self._identity()
        except OSError as error:
            self.present = False
            self.close()
            self.missing.failed(now, _words(error))
            return False
        back = not self.present
        self.missing.worked()
        self.present = True
        dead = self._events is not None and not self._events.alive()
        other = found != self._known or back or dead
        if self._known and found != self._known:
            log.warning("%s is another folder than before", writable(self.root))
        self._known = found
        if other or (self.without_events and now >= self._events_at):
            self._listen(now)
        return other

    def is_as_seen(self) -> bool:
        """Whether the folder that was there at the last look still is; cheap."""
        if not self.present:
            return True
        try:
            status = os.stat(self.root)
        except OSError:
            return False
        return self._known == (status.st_dev, status.st_ino)

    def close(self) -> None:
        """Stop listening for events."""
        if self._events:
            self._events.close()
            self._events = None

    def _identity(self) -> tuple[int, int]:
        if self._known is None and not os.path.lexists(self.root):
            self._make()
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            mount = mounts.of(descriptor)
            self._residence.check(mount)
            status = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        self._residence.keep(mount)
        self.mount = mount
        return status.st_dev, status.st_ino

    def _make(self) -> None:
        """A first use makes the folder; one that vanishes later is somebody's wish."""
        parent = os.open(os.path.dirname(self.root), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._residence.check(mounts.of(parent))
            os.mkdir(os.path.basename(self.root), dir_fd=parent)
        finally:
            os.close(parent)
        log.info("created %s", writable(self.root))

    def _listen(self, now: float) -> None:
        self.close()
        before, self.without_events = self.without_events, ""
        if self.mount and mounts.is_remote(self.mount.kind):
            kind = self.mount.kind
            log.info("a %s file system does not tell of all; looking every %g s", kind, POLL_S)
            return
        try:
            self._events = events.watch(self.root, self._ring, recursive=self.recursive)
        except OSError as error:
            self._events_at = now + EVENTS_AGAIN_S
            self.without_events = events.refusal(error)
            if not before:
                log.warning("%s; looking every %g s instead", self.without_events, POLL_S)
            return
        if before:
            log.info("file events are there again")


def _words(error: OSError) -> str:
    """Why there is nothing to watch, and what to do about it."""
    if isinstance(error, UnmountedError):
        return str(error)
    if error.errno == errno.ENOENT:
        return "it is gone; make it again, or mount the disk that it is on"
    if error.errno == errno.ENOTDIR:
        return "it is no folder"
    return f"it cannot be watched: {error.strerror or error}"
