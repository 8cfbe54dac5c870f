"""What the ledger keeps about one claimed file: the claim, and the note of it beside the file."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from producers.putaway import sync_folder

# Hidden names, which no dropped file has: those are never claimed.
_NOTE = b".baton.json"
_SENT = b".baton.sent.json"  # the same note, once the queue has the task
_DRAFT = b".baton.json.new"


@dataclass(frozen=True)
class Given:
    """The content that a task was given. `mtime_ns` 0: it was too young to tell a later change from it."""

    sha256: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Claim:
    """One claimed file. `name` is its path below the watched folder, byte for byte."""

    id: str
    folder: bytes
    name: bytes
    file_name: str  # what the file is called inside the folder: `name`, made writable in a prompt
    given: Given | None = None
    submitted: bool = False
    alone: bool = (
        True  # when it was read, nobody had it open for writing, and the kernel could tell
    )
    again: int = (
        0  # so many tasks were given it before, each of them less than there was at its end
    )
    after: str = ""  # the last of them

    @property
    def path(self) -> bytes:
        """Where the file is."""
        return b"%b/%b" % (self.folder, os.fsencode(self.file_name))

    @property
    def plain(self) -> bool:
        """Whether the file's own name says all that must not be lost."""
        return not self.again and os.fsencode(self.file_name) == self.name

    @property
    def sha256(self) -> str:
        """Of the content that its task was given; "" before it is known."""
        return self.given.sha256 if self.given else ""


def write(claim: Claim) -> None:
    """Write the note; whole and synced where it could not be rebuilt from the file's name. Raises OSError."""
    note = json.dumps(_facts(claim)).encode()
    path = b"%b/%b" % (claim.folder, _NOTE)
    if claim.plain:
        _write(path, note)
        return
    draft = os.path.join(claim.folder, _DRAFT)
    _write(draft, note, sync=True)
    os.replace(draft, path)
    sync_folder(claim.folder)


def mark_sent(claim: Claim) -> None:
    """Note that the queue has the task of a claim whose note is written. Raises OSError."""
    os.rename(b"%b/%b" % (claim.folder, _NOTE), b"%b/%b" % (claim.folder, _SENT))


def is_sent(folder: bytes) -> bool:
    """Whether the note, readable or not, has the mark."""
    return os.path.exists(os.path.join(folder, _SENT))


def read(task_id: str, folder: bytes) -> Claim | None:
    """The claim that a folder's note tells of.

    None where there is none yet, or one torn by a power failure: the file's own name is as good.
    """
    for name in (_SENT, _NOTE):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            note = json.loads(Path(os.fsdecode(os.path.join(folder, name))).read_bytes())
            return _claim(task_id, folder, note, sent=name == _SENT)
    return None


def remove(folder: bytes) -> None:
    """Remove the note, whatever it is called. Raises OSError."""
    for name in (_SENT, _NOTE, _DRAFT):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(folder, name))


def checked(name: str, file_name: str) -> tuple[bytes, str]:
    """Both names of a claim, as somebody else wrote them down. Raises ValueError for what leads elsewhere."""
    parts = os.fsencode(name).split(b"/")
    if not parts[0] or b".." in parts or "/" in file_name or file_name[:1] in ("", "."):
        raise ValueError("leads elsewhere")
    if "\0" in name + file_name:
        raise ValueError("no name of a file")
    return os.fsencode(name), file_name


def _facts(claim: Claim) -> dict[str, Any]:
    given = claim.given or Given("", 0, 0)
    return {
        "name": os.fsdecode(claim.name),
        "file": claim.file_name,
        "sha256": given.sha256,
        "size": given.size,
        "mtime_ns": given.mtime_ns,
        "alone": claim.alone,
        "again": claim.again,
        "after": claim.after,
    }


def _claim(task_id: str, folder: bytes, note: dict[str, Any], *, sent: bool) -> Claim:
    """Raises ValueError, KeyError and TypeError for a note that is not ours."""
    name, file_name = checked(note["name"], note["file"])
    sha256 = str(note["sha256"])
    given = Given(sha256, int(note.get("size", 0)), int(note.get("mtime_ns", 0)))
    return Claim(
        task_id,
        folder,
        name,
        file_name,
        given if sha256 else None,
        sent or note.get("submitted") is True,  # as an older version wrote it
        note.get("alone", True) is True,
        int(note.get("again", 0)),
        str(note.get("after", "")),
    )


def _write(path: bytes, data: bytes, *, sync: bool = False) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        if os.write(descriptor, data) != len(data):
            raise OSError(errno.ENOSPC, "the note was written in part")
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
