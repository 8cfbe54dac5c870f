"""The ledger of claimed files: `.claimed/<task id>/` holds one file and a note about it.

The order of steps makes every crash repairable: the folder first (with a note, where the file cannot
keep its name), then the rename of the file into it, then the note of its content, then the submit, then
the mark that it was submitted. A folder without its file is a claim that never happened, or one that is
over. What the queue says is the watcher's matter.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import re
import stat
import time
import uuid
from collections.abc import Callable
from dataclasses import replace

from producers import faults as no_faults
from producers import notes
from producers.faults import Faults
from producers.inbox import CLAIMED
from producers.naming import writable
from producers.notes import Claim, Given
from producers.putaway import give_back, sync_folder
from producers.settling import Fingerprint, fingerprint
from producers.syncing import sync_folders
from producers.writers import Writers, writers

log = logging.getLogger(__name__)

_KEPT = b".kept"  # the task is over, and its file is to stay (`done: leave`)
_TASK_ID = re.compile(rb"[0-9a-f]{32}")
_CHUNK = 1 << 20
#: A change within the same tick of a file system's clock leaves the time as it is: 2 s on FAT, the coarsest.
_TICK_NS = 2_000_000_000


class Stopped(Exception):  # noqa: N818  # not an error: the process was asked to stop
    """A long read was left because the process is to end; the next start takes it up."""


class StillWritten(Exception):  # noqa: N818  # not an error: it will be ready later
    """Somebody has the file open for writing, or it changed while it was read."""


class Ledger:
    """The claims of one watched folder. Every method raises OSError when the disk refuses."""

    def __init__(self, root: bytes, faults: Faults = no_faults.none) -> None:
        self.root = root
        self.folder = os.path.join(root, CLAIMED)
        self._faults = faults
        self.emptied: list[Claim] = []
        self._strange: set[bytes] = set()

    def claim(self, name: bytes, seen: Fingerprint, *, even_open: bool = False) -> Claim | None:
        """Take a file out of the folder; None when it has changed or gone since it was seen.

        Raises StillWritten, and leaves it, while another process has it open for writing.
        """
        task_id = uuid.uuid4().hex
        folder = os.path.join(self.folder, task_id.encode())
        claim = Claim(task_id, folder, name, writable(os.path.basename(name)))
        dropped = os.path.join(self.root, name)
        try:
            _check(dropped, even_open)
            self._open(claim)
            self._faults("noted")
            os.rename(dropped, claim.path)
        except FileNotFoundError:
            self.forget(claim)
            return None
        except OSError:
            self.forget(claim)
            raise
        self._faults("claimed")
        return claim if self._as_seen(claim, seen) else None

    def _open(self, claim: Claim) -> None:
        try:
            os.mkdir(claim.folder, mode=0o700)
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):
                os.mkdir(self.folder, mode=0o700)
            os.mkdir(claim.folder, mode=0o700)
        if not claim.plain:
            notes.write(claim)

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

    def read(self, claim: Claim, stopped: Callable[[], bool], *, even_open: bool = False) -> Claim:
        """The claim with the content that its task is given, which the note says from now on.

        Nobody can open it by its old name any more. Raises Stopped and StillWritten.
        """
        descriptor = _open_regular(claim.path)
        try:
            who = writers(descriptor)
            before = os.fstat(descriptor)
            sha256 = _sha256(descriptor, stopped, before.st_size)
            after = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        if (who is Writers.SOME and not even_open) or _differs(before, after):
            raise StillWritten
        young = abs(time.time_ns() - after.st_mtime_ns) < _TICK_NS
        given = Given(sha256, after.st_size, 0 if young else after.st_mtime_ns)
        known = replace(claim, given=given, alone=who is Writers.NONE)
        notes.write(known)
        return known

    def is_open(self, claim: Claim) -> bool:
        """Whether somebody has the file open for writing, as far as that can be known."""
        descriptor = _open_regular(claim.path)
        try:
            return writers(descriptor) is Writers.SOME
        finally:
            os.close(descriptor)

    def unchanged(self, claim: Claim, stopped: Callable[[], bool]) -> bool:
        """Whether the file still has the content that its task was given. Raises Stopped."""
        given, now = claim.given, os.lstat(claim.path)
        if given is None or (now.st_size, now.st_mtime_ns) == (given.size, given.mtime_ns):
            return True
        return self.holds(claim.path, given.sha256, stopped)

    def renew(self, claim: Claim) -> Claim:
        """Make a claim of its own, under another id, of a file that has changed since its task was given it."""
        task_id = uuid.uuid4().hex
        folder = os.path.join(self.folder, task_id.encode())
        new = Claim(
            task_id, folder, claim.name, claim.file_name, again=claim.again + 1, after=claim.id
        )
        self._open(new)
        self._faults("renewing")
        os.rename(claim.path, new.path)
        self._faults("renewed")
        sync_folder(new.folder)
        self.forget(claim)
        return new

    def folder_of(self, task_id: str) -> bytes:
        """The folder of a claim, whether it is there or not."""
        return os.path.join(self.folder, task_id.encode())

    def opened(self, task_id: str, name: bytes, file_name: str) -> Claim:
        """A claim without its file, for a task whose file comes back."""
        folder = self.folder_of(task_id)
        claim = Claim(task_id, folder, name, file_name)
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, mode=0o700)
        if not claim.plain:
            notes.write(claim)
        return claim

    def holds(self, path: bytes, sha256: str, stopped: Callable[[], bool]) -> bool:
        """Whether a file has this content ("": not known, so any). Raises Stopped."""
        descriptor = _open_regular(path)
        try:
            return not sha256 or _sha256(descriptor, stopped) == sha256
        finally:
            os.close(descriptor)

    def mark_submitted(self, claim: Claim) -> None:
        """Note that the queue has it. Losing the note costs a second submit, which is a no-op."""
        notes.mark_sent(claim)

    def mark_kept(self, claim: Claim) -> None:
        """Leave the file where it is for good."""
        _touch(os.path.join(claim.folder, _KEPT))
        sync_folder(claim.folder)

    def forget(self, claim: Claim) -> None:
        """Remove the claim's folder, after its file has gone elsewhere."""
        notes.remove(claim.folder)
        try:
            os.rmdir(claim.folder)
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
            log.warning("%s is kept: it holds files that are not ours", shown(claim.folder))

    def standing(self, *, sweep: bool = True) -> list[Claim]:
        """The claims that hold a file, oldest first. Folders of claims that do not are removed by a `sweep`:

        in a shared ledger, some may be about to get theirs. `emptied` has claims whose files were put away.
        """
        self.emptied = []
        claims = [claim for name in self.names() if (claim := self.find(name, sweep=sweep))]
        return sorted(claims, key=_claimed_at)

    def names(self) -> list[bytes]:
        """What lies in the ledger: names of claims' folders, and whatever somebody else put there."""
        try:
            return sorted(os.listdir(self.folder))
        except FileNotFoundError:
            return []

    def find(self, name: bytes, *, sweep: bool = True) -> Claim | None:
        """The claim in the folder of this name, while it holds a file that is to be put away."""
        folder = os.path.join(self.folder, name)
        if not _TASK_ID.fullmatch(name) or not os.path.isdir(folder):
            self._say_strange(folder)
            return None
        if os.path.exists(os.path.join(folder, _KEPT)):
            return None
        claim = notes.read(name.decode(), folder) or self._from_file(name.decode(), folder)
        if claim and os.path.isfile(claim.path):
            return claim
        if sweep and claim and claim.submitted and claim.given:
            self.emptied.append(claim)
        elif sweep:
            self.forget(claim or Claim(name.decode(), folder, b"", "-"))
        return None

    def _say_strange(self, path: bytes) -> None:
        if path not in self._strange:
            self._strange.add(path)
            log.warning("%s is not Baton's and is left alone", shown(path))

    def _from_file(self, task_id: str, folder: bytes) -> Claim | None:
        names = [name for name in os.listdir(folder) if not name.startswith(b".")]
        if len(names) != 1:
            return None
        sent = notes.is_sent(folder)
        return Claim(task_id, folder, names[0], os.fsdecode(names[0]), submitted=sent)


def is_id(task_id: str) -> bool:
    """Whether a watcher may have given a task this id, which then names a folder in the ledger."""
    return _TASK_ID.fullmatch(os.fsencode(task_id)) is not None


def _open_regular(path: bytes) -> int:
    """A descriptor of a file that is no link; a named pipe in its place does not block."""
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def _touch(path: bytes) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))


def _check(path: bytes, even_open: bool) -> None:
    """Raises PermissionError before the claim: an unreadable file stays where it was dropped."""
    descriptor = _open_regular(path)
    try:
        if not even_open and writers(descriptor) is Writers.SOME:
            raise StillWritten
    finally:
        os.close(descriptor)


def _differs(before: os.stat_result, after: os.stat_result) -> bool:
    """Whether a file was written to, renamed or given another mode between the two looks at it."""
    return before.st_ctime_ns != after.st_ctime_ns or before.st_size != after.st_size


def _sha256(descriptor: int, stopped: Callable[[], bool], size: int = _CHUNK) -> str:
    """`size` is what the file is thought to have: a small one is read at once, into no more than it needs."""
    digest, most = hashlib.sha256(), min(size, _CHUNK - 1) + 1
    while chunk := os.read(descriptor, most):
        digest.update(chunk)
        if stopped():
            raise Stopped
        if len(chunk) < most:
            break  # of a regular file, that is its end
    return digest.hexdigest()


def _claimed_at(claim: Claim) -> int:
    try:
        return os.lstat(claim.folder).st_ctime_ns
    except FileNotFoundError:
        return 0  # another watcher has finished it


def shown(path: bytes) -> str:
    """A path as a log line shows it."""
    return writable(path)
