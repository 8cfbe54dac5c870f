"""The way in for dropped files: scan, settle, claim, submit. Nothing is claimed that cannot be sent."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import logging
import os
from collections.abc import Callable

import producers.faults
import settings
from durable.errors import BatonError
from durable.patience import Patience
from durable.records import Entry, Submission
from durable.store import LeaseStore
from producers import inbox
from producers.bell import Bell
from producers.claims import Ledger, StillWritten, shown
from producers.drops import occasion
from producers.finishing import MOST_AGAIN, Finisher
from producers.notes import Claim
from producers.recipe import Occasion, Recipe
from producers.remarks import Remarks
from producers.settling import NameFilter, Sighting, fingerprint, settle
from producers.templates import TemplateError

log = logging.getLogger(__name__)

BATCH = 200  # files per submit: a stop waits for one batch at most

#: A quiet file that somebody has open for writing is taken after so long all the same: the program may have forgotten
#: it. What comes later is seen when its task has ended.
OPEN_FOR_S = 3600.0
TOLD = 200  # entries that a journal keeps
LOOK_AGAIN_S = 1.0  # at claimed files that were written to

#: What says that the disk, not the one file, is the problem.
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE)


class Intake:
    """What is on its way in. `take_in` raises RedisError and OSError; calling it again goes on."""

    def __init__(
        self,
        config: settings.Watcher,
        ledger: Ledger,
        finisher: Finisher,
        store: LeaseStore,
        recipe: Recipe,
        bell: Bell,
        faults: producers.faults.Faults,
    ) -> None:
        self.config, self.ledger, self.finisher = config, ledger, finisher
        self.store, self.recipe, self.bell = store, recipe, bell
        self.disk = Patience("disk", log)
        self.unsent: dict[str, Claim] = {}  # claimed, and not known to be in the queue
        self.sightings: dict[bytes, Sighting] = {}
        self._quieting: dict[bytes, Sighting] = {}  # of claimed files that are not read yet, by id
        self._fault, self._now = faults, 0.0
        self._filter = NameFilter(config.include, config.ignore)
        self._remarks = Remarks(log)
        self._untold: list[Entry] = []
        self._had: set[tuple[str, str]] | None = (
            None  # told by an earlier process, and not met by this one
        )

    def take_over(self, claims: list[Claim]) -> None:
        """Begin with the claims that a crash, or a stop, left unsent."""
        self.sightings.clear()
        self.unsent = {claim.id: claim for claim in claims}

    def take_in(self, now: float, send: Callable[[], bool]) -> float | None:
        """Send what is claimed, claim what is ready; when the next file is due.

        `send` says whether the queue may be asked now.
        """
        self._now = now
        if send():
            self._send(self._read_before() + self._quiet(now))
        ready, due = self._look(now)
        for first in range(0, len(ready), BATCH):
            if self.bell.stopped or not send() or self.disk.waiting(now):
                break
            self._send(self._claim_all(ready[first : first + BATCH], now))
        if send():
            self._tell()
        again = now + LOOK_AGAIN_S if self._quieting else None
        return min((at for at in (due, again) if at is not None), default=None)

    def _tell(self) -> None:
        """Bring what is left alone, and why, into the journal; after a restart only what it does not have yet."""
        self._untold += self._remarks.news(self.recipe.source)
        if not self._untold:
            return
        if self._had is None:
            earlier = self.store.journal(self.recipe.source, TOLD)
            self._had = {(told.about, told.why) for told in earlier}
        new = [entry for entry in self._untold if (entry.about, entry.why) not in self._had]
        if new:
            self.store.submit([], None, new)
        self._had.difference_update([(entry.about, entry.why) for entry in self._untold])
        self._untold.clear()

    def take_back(self, claims: list[Claim]) -> None:
        """Files that have changed since their tasks were given them are to be tasks once more."""
        self.unsent |= {claim.id: claim for claim in claims}

    def _read_before(self) -> list[Claim]:
        """What may be in the queue already: it is never read anew, or nobody knew what its task was given."""
        return [claim for claim in self.unsent.values() if claim.given]

    def _quiet(self, now: float) -> list[Claim]:
        """Of the claimed files that are still to be read, those that have become quiet."""
        waiting = {c.id.encode(): c for c in self.unsent.values() if not c.given}
        seen = {}
        for key, claim in waiting.items():
            with contextlib.suppress(FileNotFoundError):
                seen[key] = fingerprint(os.lstat(claim.path))
        settled = settle(self._quieting, seen, now, self.config.settle)
        self._quieting = settled.sightings
        gone = [claim for key, claim in waiting.items() if key not in seen]
        return [*gone, *(waiting[key] for key in settled.ready)]

    def _look(self, now: float) -> tuple[list[bytes], float | None]:
        seen = inbox.scan(
            self.ledger.root,
            self._filter.wants,
            recursive=self.config.recursive,
            leave=self.finisher.folders,
        )
        for name, kind in seen.odd.items():
            self._remarks.odd(name, kind)
        self._remarks.keep_only({**seen.files, **seen.odd, **self._quieting})
        settled = settle(self.sightings, seen.files, now, self.config.settle)
        self.sightings = settled.sightings
        refused = self._remarks.refused
        ready = [name for name in settled.ready if not refused(name, seen.files[name], now)]
        return ready, settled.due

    def _claim_all(self, names: list[bytes], now: float) -> list[Claim]:
        return [claim for name in names if (claim := self._claim(name, now))]

    def _claim(self, name: bytes, now: float) -> Claim | None:
        found, since = self.sightings[name]
        try:
            claim = self.ledger.claim(name, found, even_open=now - since >= OPEN_FOR_S)
        except StillWritten:
            self._remarks.written(name, now - since)
            return None
        except OSError as error:
            if error.errno in _DISK:
                raise
            del self.sightings[name]
            self._remarks.refuse(name, found, error, now)
            return None
        del self.sightings[name]
        self.disk.worked()
        if claim:
            self.unsent[claim.id] = claim
            if now - since >= OPEN_FOR_S:
                self._quieting[claim.id.encode()] = Sighting(found, since)
        return claim

    def _send(self, claims: list[Claim]) -> None:
        """Submit; what cannot become a task is put away with the reason."""
        for first in range(0, len(claims), BATCH):
            part = [claim for claim in claims[first : first + BATCH] if self._stands(claim)]
            batch = [made for claim in part if (made := self._made(claim))]
            if batch:
                self.ledger.make_durable([claim for claim, _ in batch])
                self._submit(batch)

    def _stands(self, claim: Claim) -> bool:
        """Whether the claim is still there: in a shared folder another machine may have finished it."""
        if not self.config.shared or os.path.isdir(claim.folder):
            return True
        del self.unsent[claim.id]
        return False

    def _made(self, claim: Claim) -> tuple[Claim, Submission] | None:
        try:
            known = claim if claim.given else self._read(claim)
            self.unsent[claim.id] = known
            self._fault("hashed")
            return known, self.recipe.submission(self._occasion(known))
        except StillWritten:
            return None
        except FileNotFoundError:
            log.warning("%s has gone from %s", claim.file_name, shown(claim.folder))
            self.ledger.forget(claim)
        except (OSError, TemplateError, BatonError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in _DISK:
                raise
            self.finisher.give_up(claim, str(error), "failed")
        del self.unsent[claim.id]
        return None

    def _read(self, claim: Claim) -> Claim:
        """Raises StillWritten, and has the file looked at again when it is quiet."""
        key = claim.id.encode()
        seen = self._quieting.pop(key, None)
        quiet_s = self._now - seen.since if seen else 0.0
        try:
            return self.ledger.read(claim, self._is_stopped, even_open=quiet_s >= OPEN_FOR_S)
        except StillWritten:
            self._remarks.written(key, quiet_s, claim.file_name)
            self._quieting[key] = seen or Sighting(fingerprint(os.lstat(claim.path)), self._now)
            raise

    def _occasion(self, claim: Claim) -> Occasion:
        told = occasion(claim, self.recipe.uses)
        if self.config.dedupe != "content":
            return told
        return dataclasses.replace(told, key=f"content:{self.config.name}:{claim.sha256}")

    def _is_stopped(self) -> bool:
        return self.bell.stopped

    def _submit(self, batch: list[tuple[Claim, Submission]]) -> None:
        entries = [self._entry(claim, place) for place, (claim, _) in enumerate(batch, 1)]
        done = self.store.submit([submission for _, submission in batch], None, entries)
        self._fault("submitted")
        for (claim, _), submitted in zip(batch, done, strict=True):
            if submitted.id == claim.id:
                self.ledger.mark_submitted(claim)
                self.finisher.follow(claim)
                log.info("%s is task %s", claim.file_name, claim.id)
            else:
                self.finisher.repeat(claim, submitted.id)
            del self.unsent[claim.id]

    def _entry(self, claim: Claim, place: int) -> Entry:
        what, why = "run", ""
        if claim.again:
            what = "again"
            why = f"it changed after task {claim.after[:8]} was given it ({claim.again} of {MOST_AGAIN})"
        return Entry(
            journal=self.recipe.source, what=what, about=claim.file_name, place=place, why=why
        )
