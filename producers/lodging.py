"""Where the files of tasks that did not succeed are put: noted in the task's record, for the day it is retried."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

import producers.faults
from durable.identity import host_id
from durable.records import FINAL, State
from durable.store import LeaseStore
from producers.claims import Ledger
from producers.naming import numbered
from producers.notes import Claim, checked

#: So many numbered names are looked through for a file whose place was not noted.
_NAMES = 1000

UNDONE = FINAL - {State.SUCCEEDED}


@dataclass(frozen=True)
class Lodged:
    """Where the file of an ended task was put. `name` is its path below the watched folder, byte for byte."""

    path: bytes
    name: bytes
    file_name: str
    sha256: str
    host: str  # which machine's watcher put it there


def told(claim: Claim, path: bytes) -> str:
    """What the record says of a file that was put away."""
    texts = {"path": os.fsdecode(path), "name": os.fsdecode(claim.name), "host": host_id()}
    return json.dumps({**texts, "file": claim.file_name, "sha256": claim.sha256})


def heard(text: str) -> Lodged | None:
    """The reverse of `told`; None for what was never said."""
    try:
        said = json.loads(text)
        name, file_name = checked(said["name"], said["file"])
        path = os.fsencode(said["path"])
        if b"\0" in path or not os.path.isabs(path):
            return None
        return Lodged(path, name, file_name, str(said["sha256"]), str(said["host"]))
    except (ValueError, KeyError, TypeError):
        return None


class Lodging:
    """Files on their way from the ledger to the record: the claim's folder goes when the record knows the place."""

    def __init__(
        self, failed: bytes, ledger: Ledger, store: LeaseStore, faults: producers.faults.Faults
    ) -> None:
        self.failed, self.ledger, self.store, self._fault = failed, ledger, store, faults
        self._new: list[tuple[Claim, bytes]] = []
        self._lost: list[Claim] = []

    def __len__(self) -> int:
        return len(self._new) + len(self._lost)

    @property
    def ids(self) -> set[str]:
        """Of the claims whose files have gone and whose folders have not."""
        return {claim.id for claim, _ in self._new} | {claim.id for claim in self._lost}

    def trace(self, emptied: list[Claim]) -> None:
        """Look where the files of these claims have gone: a process was killed before it could say so."""
        self._lost += emptied

    def take_over(self) -> None:
        """Begin anew: the ledger says what is left to do."""
        self._new.clear()
        self._lost.clear()

    def add(self, claim: Claim, path: bytes) -> None:
        """The file of this claim lies there now."""
        self._new.append((claim, path))

    def note(self, stopped: Callable[[], bool]) -> None:
        """Tell the records. Raises RedisError and OSError; calling it again goes on."""
        if self._lost:
            self._trace(stopped)
        if self._new:
            self.store.placed({claim.id: told(claim, path) for claim, path in self._new})
            self._fault("lodged")
            while self._new:
                self.ledger.forget(self._new.pop()[0])

    def _trace(self, stopped: Callable[[], bool]) -> None:
        """Find what was put away by a process that was killed before it could say so."""
        records = self.store.records([claim.id for claim in self._lost])
        for claim, record in zip(list(self._lost), records, strict=True):
            known = record and record.state in UNDONE
            path = self._find(claim, stopped) if known else None
            if path:
                self._new.append((claim, path))
            else:
                self.ledger.forget(claim)
            self._lost.remove(claim)

    def _find(self, claim: Claim, stopped: Callable[[], bool]) -> bytes | None:
        folder, name = os.path.split(os.path.join(self.failed, claim.name))
        for candidate in islice(numbered(name), _NAMES):
            path = os.path.join(folder, candidate)
            if self._is(path, claim, stopped):
                return path
        return None

    def _is(self, path: bytes, claim: Claim, stopped: Callable[[], bool]) -> bool:
        """Whether this is the claim's file: a link or an unreadable file, which are somebody else's, are not."""
        if os.path.islink(path) or not os.path.isfile(path):
            return False
        with contextlib.suppress(FileNotFoundError, PermissionError):
            return self.ledger.holds(path, claim.sha256, stopped)
        return False
