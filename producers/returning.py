"""The way back for files: a person retries a failed task, and its file returns to where the task looks for it.

Only when the file is back in the ledger is the task requeued, so it never starts without it. Killed in between, the
next watcher finds the file claimed and the wish still there.
"""

from __future__ import annotations

import contextlib
import logging
import os

import producers.faults
from durable.identity import host_id
from durable.records import Record
from durable.store import LeaseStore
from producers.claims import Ledger, is_id, shown
from producers.finishing import Finisher
from producers.lodging import UNDONE, Lodged, heard
from producers.notes import Claim
from producers.putaway import put_away
from settings.hosts import OWN

log = logging.getLogger(__name__)


class Refused(Exception):  # noqa: N818  # an answer for a person, not an error of ours
    """Why a file cannot be brought back."""


class Returns:
    """What people want back of one watcher."""

    def __init__(
        self,
        source: str,
        ledger: Ledger,
        finisher: Finisher,
        store: LeaseStore,
        faults: producers.faults.Faults,
        *,
        shared: bool = False,
        queue: str = "",
    ) -> None:
        self.source, self.ledger, self.finisher = source, ledger, finisher
        self.store, self._fault, self._shared, self._queue = store, faults, shared, queue

    def answer_all(self) -> None:
        """Bring back what is wanted, or say why not. Raises RedisError and Stopped."""
        wanted = self.store.wanted(self.source)
        records = self.store.records(list(wanted)) if wanted else []
        for (task_id, resume), record in zip(wanted.items(), records, strict=True):
            self._answer(task_id, record, resume=resume)

    def _answer(self, task_id: str, record: Record | None, *, resume: bool) -> None:
        if record is None or record.state not in UNDONE:
            self.store.refuse(self.source, task_id, "")  # gone, or somebody else was faster
            return
        if self._is_another_s(task_id, record) or self._is_on_its_way(task_id):
            return
        try:
            if task_id not in self.finisher.open:
                self.finisher.follow(self._bring_back(task_id, record))
            self._fault("brought-back")
            self.store.requeue(task_id, resume=resume)
        except (Refused, OSError) as error:
            log.warning("task %s is not retried: %s", task_id, error)
            self.store.refuse(self.source, task_id, str(error))

    def _is_another_s(self, task_id: str, record: Record) -> bool:
        """Whether the watcher of another machine is to answer: one of this name, or one that shares the ledger."""
        lodged = heard(record.file)
        if task_id in self.finisher.open or (lodged and lodged.host == host_id()):
            return False
        if not self._shared:
            return record.queue.startswith(OWN) and record.queue != self._queue
        still_claimed = os.path.isdir(self.ledger.folder_of(task_id))
        return still_claimed or (lodged is not None and not os.path.lexists(lodged.path))

    def _is_on_its_way(self, task_id: str) -> bool:
        """Whether the file is being put away: the record does not say yet where it is, or says where it was once."""
        return task_id in self.finisher.known and task_id not in self.finisher.open

    def _bring_back(self, task_id: str, record: Record) -> Claim:
        lodged = heard(record.file)
        if lodged is None or not is_id(task_id):  # a foreign hand in Redis may write any text
            raise Refused("it is not known where its file was put; drop the file again")
        claim = self.ledger.opened(task_id, lodged.name, lodged.file_name)
        try:
            self._move(lodged, claim)
            self._fault("moved-back")
            known = self.ledger.read(claim, self.finisher.stopped, even_open=True)
        except (Refused, OSError):
            with contextlib.suppress(OSError):
                if not os.path.isfile(claim.path):
                    self.ledger.forget(claim)
            raise
        log.info("%s is back from %s for task %s", claim.file_name, shown(lodged.path), task_id)
        self.ledger.mark_submitted(known)
        return known

    def _move(self, lodged: Lodged, claim: Claim) -> None:
        """Doing it again after a crash finishes it; a file that has come to the old place since stays there."""
        if os.path.isfile(claim.path) and not _same(lodged.path, claim):
            if not self._is_reserved(lodged, claim):
                return
            os.unlink(claim.path)
        where = shown(lodged.path)
        try:
            same = self.ledger.holds(lodged.path, lodged.sha256, self.finisher.stopped)
        except FileNotFoundError:
            if os.path.isfile(claim.path):
                return  # another machine's watcher was faster
            raise Refused(f"its file is no longer at {where}") from None
        if not same:
            raise Refused(
                f"{where} has another content than its task was given; drop it to have it done anew"
            )
        put_away(lodged.path, claim.folder, os.fsencode(claim.file_name), claim.id)

    def _is_reserved(self, lodged: Lodged, claim: Claim) -> bool:
        """Whether what is there is no more than the name, which putaway.py takes first where links cannot be had."""
        if os.path.getsize(claim.path) or not os.path.isfile(lodged.path):
            return False
        return not self.ledger.holds(claim.path, lodged.sha256, self.finisher.stopped)


def _same(path: bytes, claim: Claim) -> bool:
    """Whether a move was begun: the file has both names, or its copy of another file system is still there."""
    copy = os.path.join(claim.folder, f".{claim.id}.part".encode())
    with contextlib.suppress(FileNotFoundError):
        return os.path.lexists(copy) or os.path.samefile(path, claim.path)
    return False
