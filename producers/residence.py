"""On which mount a watched folder was last seen, kept in `var`: an unmounted disk leaves a folder behind, too.

Where a disk or a share is not mounted, its mount point is an ordinary folder, mostly an empty one. Who watches
that sees nothing wrong, and what is dropped there is hidden as soon as the disk is back.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from pathlib import Path

from producers import mounts
from producers.mounts import Mount

log = logging.getLogger(__name__)


class UnmountedError(OSError):
    """The folder is there, but the file system that it was on is not."""

    def __init__(self, mount: Mount, file: Path | None) -> None:
        what = f"{mount.source} ({mount.kind}), in which it was, is not mounted at {mount.point}"
        remedy = f"mount it; or, if the folder is to be here from now on: rm {file}"
        super().__init__(f"{what}; {remedy if file else 'mount it'}")


class Residence:
    """The mount of one folder as it was, in a file; without a file, for as long as this process lives."""

    def __init__(self, file: Path | None, folder: Path) -> None:
        self.file, self.folder = file, folder
        self._kept: Mount | None = None

    def check(self, now: Mount | None) -> None:
        """Raise UnmountedError when the folder lies on what its own mount had hung in.

        The file is read each time: who removes it says that the folder is to be where it now is.
        """
        known = None if now is None or now == self._kept else self._read()
        if now and known and now.holds(known):
            raise UnmountedError(known, self.file)

    def enter(self) -> None:
        """Before something is put into the folder, which may have to be made: raise when its mount is away."""
        folder = self.folder
        while not folder.is_dir() and folder != folder.parent:
            folder = folder.parent
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            mount = mounts.of(descriptor)
        finally:
            os.close(descriptor)
        self.check(mount)
        if folder == self.folder:
            self.keep(mount)

    def keep(self, now: Mount | None) -> None:
        """Remember where the folder lies."""
        if now is None or now == self._kept:
            return
        self._kept = now
        if self.file is None:
            return
        facts = {"folder": str(self.folder), "mount": now._asdict()}
        try:
            self.file.parent.mkdir(mode=0o700, exist_ok=True)
            draft = self.file.with_suffix(f".{os.getpid()}")
            draft.write_text(json.dumps(facts) + "\n")
            draft.replace(self.file)
        except OSError as error:
            log.warning("%s cannot be written: %s", self.file, error.strerror or error)

    def _read(self) -> Mount | None:
        if self.file is None:
            return self._kept
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            facts = json.loads(self.file.read_text())
            if facts["folder"] == str(self.folder):
                return Mount(**{name: str(facts["mount"][name]) for name in Mount._fields})
        return None
