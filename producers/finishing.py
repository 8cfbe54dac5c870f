"""The way out for claimed files: when its task has ended, a file goes to Done or to Failed."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path

import producers.faults
import settings
from durable import identity
from durable.patience import Patience
from durable.records import FILE_AWAY, Entry, Record, State
from durable.store import LeaseStore
from producers.changes import whose
from producers.claims import Ledger, shown
from producers.lodging import Lodging
from producers.notes import Claim
from producers.putaway import put_away
from producers.residence import Residence

log = logging.getLogger(__name__)

FOLLOW_S = 1.0  # between looks at the queue while files are claimed
#: Records per look: ten thousand waiting files must not keep Redis busy.
AT_ONCE = 200
#: Of a file that changes under each of its tasks: so many more are made of it. One that grows for ever runs no more.
MOST_AGAIN = 3
#: So long a file that somebody has open for writing is not put away.
OPEN_FOR_S = 3600.0
#: Between two times that a held task is sent on because its file is here: where its consumer runs, it may not be.
SEND_ON_S = 60.0


class Finisher:
    """The claims whose tasks are in the queue. Doing any of it again after a crash goes on with it."""

    def __init__(
        self,
        config: settings.Watcher,
        ledger: Ledger,
        store: LeaseStore,
        faults: producers.faults.Faults,
        stopped: Callable[[], bool],
        notes: Path | None = None,
    ) -> None:
        self.config, self.stopped = config, stopped
        self.done, self.failed = config.done, os.fsencode(config.failed)
        self.ledger, self.store, self._fault = ledger, store, faults
        self._residences = {
            folder: Residence(
                notes and notes / f"{config.name}.{name}.json", Path(os.fsdecode(folder))
            )
            for name, folder in self._named()
        }
        self._shared = config.shared
        self.open: dict[str, Claim] = {}
        self._doomed: dict[str, tuple[Claim, str]] = {}  # to Failed, once the disk lets us
        self._journal = f"watcher:{config.name}"
        self._untold: deque[Entry] = deque()
        self._lodging = Lodging(self.failed, ledger, store, faults)
        self._open_since: dict[str, float] = {}
        self._send_on_at: dict[str, float] = {}
        self._renewed: list[Claim] = []
        self.due = 0.0
        self.disk = Patience("files cannot be put away", log)

    @property
    def folders(self) -> frozenset[bytes]:
        """Where files end up, which is not to be watched."""
        return frozenset(folder for _, folder in self._named())

    def _named(self) -> list[tuple[str, bytes]]:
        done = [("done", os.fsencode(self.done))] if isinstance(self.done, Path) else []
        return [*done, ("failed", self.failed)]

    def take_over(self, claims: list[Claim], emptied: list[Claim]) -> None:
        """Begin with the claims that an earlier process has submitted, and those whose files it moved."""
        self._lodging.take_over()
        self.trace(emptied)
        self.open = {claim.id: claim for claim in claims}
        self.due = 0.0

    def trace(self, emptied: list[Claim]) -> None:
        """Find out where the files of these claims were put, by a process that was killed then."""
        self._lodging.trace(emptied)
        emptied.clear()

    def follow(self, claim: Claim) -> None:
        """From now on, wait for this claim's task to end."""
        self.open[claim.id] = claim

    def finish_all(self, now: float) -> list[Claim]:
        """Put away the files of tasks that are final; claims of those that have changed meanwhile.

        Raises RedisError and Stopped.
        """
        if not self.waiting or now < self.due:
            return []
        self._tell()
        self.due = now + FOLLOW_S
        ids = list(itertools.islice(self.open, AT_ONCE))
        failed = self._retry_doomed()
        for task_id, record in zip(ids, self.store.records(ids), strict=True):
            claim = self.open[task_id]
            try:
                finished = self._finish(claim, record, now)
            except OSError as error:
                finished, failed = False, error
            del self.open[task_id]
            if finished:
                self._send_on_at.pop(task_id, None)
            else:
                self.open[task_id] = claim  # at the end: the others have their turn first
        self._lodging.note(self.stopped)
        self._say(now, failed)
        renewed, self._renewed = self._renewed, []
        return renewed

    def _tell(self) -> None:
        """Said twice at worst, when a reply is lost; not at all when we are killed before: then the file is
        met again at the next start."""
        while self._untold:
            self.store.submit([], None, [self._untold[0]])
            self._untold.popleft()

    @property
    def known(self) -> set[str]:
        """The ids of the claims that are looked after here."""
        return {*self.open, *self._doomed, *self._lodging.ids}

    @property
    def waiting(self) -> int:
        """How many files are claimed and submitted, or still to be moved."""
        return len(self.open) + len(self._doomed) + len(self._lodging)

    def _retry_doomed(self) -> OSError | None:
        try:
            for task_id, (claim, reason) in list(self._doomed.items()):
                self._give_up(claim, reason)
                del self._doomed[task_id]
        except OSError as error:
            return error
        return None

    def _say(self, now: float, failed: OSError | None) -> None:
        if failed:
            self.due = now + max(FOLLOW_S, self.disk.failed(now, failed))
        else:
            self.disk.worked()

    def _finish(self, claim: Claim, record: Record | None, now: float) -> bool:
        """Put the file away if its task is final; whether nothing is left to do for it."""
        if record is None:
            reason = f"task {claim.id} is no longer in the queue; how it ended is not known"
            self._give_up(claim, reason)
            return True
        self._send_on(claim, record, now)
        if not record.state.final or self._is_waited_for(claim, now):
            return False
        self._fault("final")
        if os.path.isfile(claim.path) and not self.ledger.unchanged(claim, self.stopped):
            self._finish_changed(claim, record)
        else:
            self._put_away(claim, record)
        return True

    def _send_on(self, claim: Claim, record: Record, now: float) -> None:
        """A task that was held because its file was away goes on now that it is here."""
        away = record.state is State.HELD and record.outcome == FILE_AWAY
        early = now < self._send_on_at.get(claim.id, 0.0)
        if away and not early and os.path.exists(claim.path):
            self.store.requeue(claim.id)
            self._send_on_at[claim.id] = now + SEND_ON_S
            log.info("%s is back; task %s goes on", claim.file_name, claim.id)

    def _is_waited_for(self, claim: Claim, now: float) -> bool:
        """Whether somebody who had the file open when it was claimed still has; not for ever."""
        if claim.alone or not os.path.isfile(claim.path) or not self.ledger.is_open(claim):
            self._open_since.pop(claim.id, None)
            return False
        since = self._open_since.setdefault(claim.id, now)
        if since == now:
            log.warning(
                "the task of %s has ended, but somebody has the file open for writing; waiting",
                claim.file_name,
            )
        return now - since < OPEN_FOR_S

    def _finish_changed(self, claim: Claim, record: Record) -> None:
        """It holds what its task was not given: nobody's words go unread or are deleted."""
        if whose(claim, record, os.lstat(claim.path).st_mtime_ns, self.config.edits) == "task":
            log.info("%s was changed while its task ran", claim.file_name)
            if record.state is State.SUCCEEDED and self.done == "delete":
                reason = "it was changed after its task was given it, so it is not deleted"
                self._keep(claim, reason)
            else:
                self._put_away(claim, record)
        elif record.state is State.CANCELLED:
            self._put_away(claim, record)
        elif claim.again >= MOST_AGAIN:
            reason = (
                f"it has changed under {claim.again + 1} tasks in a row, the last one is {claim.id};"
                " what came after that, no task has seen"
            )
            self._keep(claim, reason)
        else:
            new = self.ledger.renew(claim)
            self._renewed.append(new)
            log.warning(
                "%s has changed since task %s was given it; it becomes task %s as soon as it is quiet",
                *(claim.file_name, claim.id, new.id),
            )

    def _keep(self, claim: Claim, reason: str) -> None:
        log.warning("%s is put into %s: %s", claim.file_name, shown(self.failed), reason)
        self.give_up(claim, reason, "failed")

    def _put_away(self, claim: Claim, record: Record) -> None:
        if record.state is not State.SUCCEEDED:
            why = record.reason or record.outcome
            placed = self._shift(claim, self.failed, f"{record.state.value}: {why}")
            if placed:
                self._lodging.add(claim, placed)
                return
            self.ledger.forget(claim)
        elif isinstance(self.done, Path):
            self._move(claim, os.fsencode(self.done), record.state.value)
        elif self.done == "delete":
            self._delete(claim)
        else:
            self.ledger.mark_kept(claim)
            log.info("%s succeeded and stays at %s", claim.file_name, shown(claim.path))

    def give_up(self, claim: Claim, reason: str, what: str) -> None:
        """Move a file that has no task to tell its story to Failed, at the next round; the journal says why."""
        self._doomed[claim.id] = claim, reason
        self._untold.append(
            Entry(journal=self._journal, what=what, about=claim.file_name, why=reason)
        )

    def repeat(self, claim: Claim, task_id: str) -> None:
        """The file has the content of one that came before, and is to be a task only once."""
        reason = f"its content is that of task {task_id} (dedupe: content)"
        log.warning("%s is no new task: %s", claim.file_name, reason)
        self.give_up(claim, reason, "skipped")

    def _give_up(self, claim: Claim, reason: str) -> None:
        """Move it, with a note of the reason beside it."""
        placed = self._move(claim, self.failed, reason)
        if placed:
            with contextlib.suppress(FileExistsError), open(placed + b".why.txt", "x") as note:
                note.write(f"{reason}\n")

    def _move(self, claim: Claim, folder: bytes, why: str) -> bytes | None:
        placed = self._shift(claim, folder, why)
        self.ledger.forget(claim)
        return placed

    def _shift(self, claim: Claim, folder: bytes, why: str) -> bytes | None:
        placed = self._place(claim, folder)
        if placed:
            log.info("%s moved to %s (%s)", claim.file_name, shown(placed), why)
        elif not self._shared:  # else another machine was faster
            log.warning("%s is no longer at %s (%s)", claim.file_name, shown(claim.path), why)
        self._fault("put-away")
        return placed

    def _place(self, claim: Claim, folder: bytes) -> bytes | None:
        """Where the file is now; None when it was gone. Of two watchers that do it at once, one does."""
        if not os.path.isfile(claim.path):
            return None
        self._residences[folder].enter()
        tag = f"{claim.id}.{identity.host_id()}" if self._shared else claim.id
        try:
            return put_away(claim.path, folder, claim.name, tag)
        except FileNotFoundError:
            if os.path.isfile(claim.path):
                raise
            return None

    def _delete(self, claim: Claim) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(claim.path)
        log.info("%s succeeded and is deleted, as configured", claim.file_name)
        self.ledger.forget(claim)
