"""The ledger of claimed files: `.claimed/<task id>/` holds one file and a note about it.

The order of steps makes every crash repairable: the folder first (with a note, where the file cannot
keep its name), then the rename of the file into it, then the submit, then the note that it was
submitted. A folder without its file is a claim that never happened, or one that is over. What the
queue says is the watcher's matter.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import re
import stat
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

from producers import faults as no_faults
from producers.faults import Faults
from producers.inbox import CLAIMED
from producers.naming import writable
from producers.putaway import give_back, sync_folder
from producers.settling import Fingerprint, fingerprint
from producers.syncing import sync_folders

log = logging.getLogger(__name__)

# Hidden names, which no dropped file has: those are never claimed.
_NOTE = b".baton.json"
_KEPT = b".kept"  # the task is over, and its file is to stay (`done: leave`)
_TASK_ID = re.compile(rb"[0-9a-f]{32}")
_CHUNK = 1 << 20


class Stopped(Exception):  # noqa: N818  # not an error: the process was asked to stop
    """A long read was left because the process is to end; the next start takes it up."""


@dataclass(frozen=True)
class Claim:
    """One claimed file. `name` is its path below the watched folder, byte for byte."""

    id: str
    folder: bytes
    name: bytes
    file_name: str  # what the file is called inside the folder: `name`, made writable in a prompt
    sha256: str = ""
    submitted: bool = False

    @property
    def path(self) -> bytes:
        """Where the file is."""
        return os.path.join(self.folder, os.fsencode(self.file_name))

    @property
    def plain(self) -> bool:
        """Whether the file's own name says all that the note says."""
        return os.fsencode(self.file_name) == self.name


class Ledger:
    """The claims of one watched folder. Every method raises OSError when the disk refuses."""

    def __init__(self, root: bytes, faults: Faults = no_faults.none) -> None:
        self.root = root
        self.folder = os.path.join(root, CLAIMED)
        self._faults = faults
        self._strange: set[bytes] = set()

    def claim(self, name: bytes, seen: Fingerprint) -> Claim | None:
        """Take a file out of the folder; None when it has changed or gone since it was seen."""
        task_id = uuid.uuid4().hex
        folder = os.path.join(self.folder, task_id.encode())
        claim = Claim(task_id, folder, name, writable(os.path.basename(name)))
        try:
            self._open(claim)
            self._faults("noted")
            os.rename(os.path.join(self.root, name), claim.path)
        except FileNotFoundError:
            self.forget(claim)
            return None
        except OSError:
            self.forget(claim)
            raise
        self._faults("claimed")
        return claim if self._as_seen(claim, seen) else None

    def _open(self, claim: Claim) -> None:
        _check_readable(os.path.join(self.root, claim.name))
        try:
            os.mkdir(claim.folder, mode=0o700)
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):
                os.mkdir(self.folder, mode=0o700)
            os.mkdir(claim.folder, mode=0o700)
        if not claim.plain:
            self._write_note(claim)

    def _as_seen(self, claim: Claim, seen: Fingerprint) -> bool:
        """Whether what was renamed is what was seen; anything else goes back where it was."""
        status = os.lstat(claim.path)
        if stat.S_ISREG(status.st_mode) and fingerprint(status).same_content(seen):
            return True
        if give_back(claim.path, os.path.join(self.root, claim.name)):
            self.forget(claim)
            return False
        return stat.S_ISREG(status.st_mode)  # its place is taken by the next one: both are drops

    def make_durable(self, claims: list[Claim]) -> None:
        """Bring the renames to the disk: a submit that outlives them would run the file twice."""
        parents = {self.folder, self.root, *(self._parent(claim) for claim in claims)}
        sync_folders([*(claim.folder for claim in claims), *parents])

    def _parent(self, claim: Claim) -> bytes:
        return os.path.dirname(os.path.join(self.root, claim.name))

    def digest(self, claim: Claim, stopped: Callable[[], bool]) -> Claim:
        """The claim with the SHA-256 of its file. Raises Stopped."""
        digest = hashlib.sha256()
        with open(_open_regular(claim.path), "rb", buffering=0) as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                if stopped():
                    raise Stopped
        return replace(claim, sha256=digest.hexdigest())

    def mark_submitted(self, claim: Claim) -> Claim:
        """Note that the queue has it. Losing the note costs a second submit, which is a no-op."""
        marked = replace(claim, submitted=True)
        self._write_note(marked)
        return marked

    def mark_kept(self, claim: Claim) -> None:
        """Leave the file where it is for good."""
        _touch(os.path.join(claim.folder, _KEPT))
        sync_folder(claim.folder)

    def forget(self, claim: Claim) -> None:
        """Remove the claim's folder, after its file has gone elsewhere."""
        for name in (_NOTE, _NOTE + b".new"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(claim.folder, name))
        try:
            os.rmdir(claim.folder)
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
            log.warning("%s is kept: it holds files that are not ours", shown(claim.folder))

    def standing(self) -> list[Claim]:
        """The claims that hold a file, oldest first; folders of claims that do not are removed."""
        try:
            names = sorted(os.listdir(self.folder))
        except FileNotFoundError:
            return []
        claims = [claim for name in names if (claim := self._read(name))]
        return sorted(claims, key=_claimed_at)

    def _read(self, name: bytes) -> Claim | None:
        folder = os.path.join(self.folder, name)
        if not _TASK_ID.fullmatch(name) or not os.path.isdir(folder):
            self._say_strange(folder)
            return None
        if os.path.exists(os.path.join(folder, _KEPT)):
            return None
        claim = self._from_note(name.decode(), folder) or self._from_file(name.decode(), folder)
        if claim is None or not os.path.isfile(claim.path):
            self.forget(claim or Claim(name.decode(), folder, b"", "-"))
            return None
        return claim

    def _say_strange(self, path: bytes) -> None:
        if path not in self._strange:
            self._strange.add(path)
            log.warning("%s is not Baton's and is left alone", shown(path))

    def _from_note(self, task_id: str, folder: bytes) -> Claim | None:
        try:
            with open(os.path.join(folder, _NOTE), "rb") as file:
                note = json.load(file)
            name = os.fsencode(note["name"])
            if not name or os.path.isabs(name) or b".." in name.split(b"/"):
                return None
            sha256, submitted = str(note["sha256"]), note["submitted"] is True
            return Claim(task_id, folder, name, str(note["file"]), sha256, submitted)
        except (OSError, ValueError, KeyError, TypeError):
            return None  # none yet, or torn by a power failure: the file's own name is as good

    def _from_file(self, task_id: str, folder: bytes) -> Claim | None:
        names = [name for name in os.listdir(folder) if not name.startswith(b".")]
        return Claim(task_id, folder, names[0], os.fsdecode(names[0])) if len(names) == 1 else None

    def _write_note(self, claim: Claim) -> None:
        """Write the note; whole and synced where it could not be rebuilt from the file's name."""
        names = {"name": os.fsdecode(claim.name), "file": claim.file_name}
        note = json.dumps({**names, "sha256": claim.sha256, "submitted": claim.submitted}).encode()
        path = os.path.join(claim.folder, _NOTE)
        if claim.plain:
            _write(path, note)
            return
        _write(path + b".new", note, sync=True)
        os.replace(path + b".new", path)
        sync_folder(claim.folder)


def _write(path: bytes, data: bytes, *, sync: bool = False) -> None:
    with open(path, "wb", buffering=0) as file:
        file.write(data)
        if sync:
            os.fsync(file.fileno())


def _open_regular(path: bytes) -> int:
    """A descriptor of a file that is no link; a named pipe in its place does not block."""
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def _touch(path: bytes) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))


def _check_readable(path: bytes) -> None:
    """Raises PermissionError before the claim: an unreadable file stays where it was dropped."""
    os.close(_open_regular(path))


def _claimed_at(claim: Claim) -> int:
    try:
        return os.lstat(claim.folder).st_ctime_ns
    except FileNotFoundError:
        return 0  # another watcher has finished it


def shown(path: bytes) -> str:
    """A path as a log line shows it."""
    return writable(path)
