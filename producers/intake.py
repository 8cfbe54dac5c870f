"""The way in for dropped files: scan, settle, claim, submit. Nothing is claimed that cannot be sent."""

from __future__ import annotations

import dataclasses
import errno
import logging
from collections.abc import Callable

import producers.faults
import settings
from durable.errors import BatonError
from durable.patience import Patience
from durable.records import Entry, Submission
from durable.store import LeaseStore
from producers import inbox
from producers.bell import Bell
from producers.claims import Claim, Ledger, shown
from producers.drops import occasion
from producers.finishing import Finisher
from producers.recipe import Occasion, Recipe
from producers.remarks import Remarks
from producers.settling import NameFilter, Sighting, settle
from producers.templates import TemplateError

log = logging.getLogger(__name__)

BATCH = 100  # files per submit: a stop waits for one batch at most

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
        self._fault = faults
        self._filter = NameFilter(config.include, config.ignore)
        self._remarks = Remarks(log)

    def take_over(self, claims: list[Claim]) -> None:
        """Begin with the claims that a crash, or a stop, left unsent."""
        self.sightings.clear()
        self.unsent = {claim.id: claim for claim in claims}

    def take_in(self, now: float, send: Callable[[], bool]) -> float | None:
        """Send what is claimed, claim what is ready; when the next file is due.

        `send` says whether the queue may be asked now.
        """
        if send():
            self._send(list(self.unsent.values()))
        ready, due = self._look(now)
        for first in range(0, len(ready), BATCH):
            if self.bell.stopped or not send() or self.disk.waiting(now):
                break
            self._send(self._claim_all(ready[first : first + BATCH], now))
        return due

    def _look(self, now: float) -> tuple[list[bytes], float | None]:
        seen = inbox.scan(
            self.ledger.root,
            self._filter.wants,
            recursive=self.config.recursive,
            leave=self.finisher.folders,
        )
        for name, kind in seen.odd.items():
            self._remarks.odd(name, kind)
        self._remarks.keep_only({**seen.files, **seen.odd})
        settled = settle(self.sightings, seen.files, now, self.config.settle)
        self.sightings = settled.sightings
        refused = self._remarks.refused
        ready = [name for name in settled.ready if not refused(name, seen.files[name], now)]
        return ready, settled.due

    def _claim_all(self, names: list[bytes], now: float) -> list[Claim]:
        return [claim for name in names if (claim := self._claim(name, now))]

    def _claim(self, name: bytes, now: float) -> Claim | None:
        found = self.sightings.pop(name).fingerprint
        try:
            claim = self.ledger.claim(name, found)
        except OSError as error:
            if error.errno in _DISK:
                raise
            self._remarks.refuse(name, found, error, now)
            return None
        self.disk.worked()
        if claim:
            self.unsent[claim.id] = claim
        return claim

    def _send(self, claims: list[Claim]) -> None:
        """Submit; what cannot become a task is put away with the reason."""
        for first in range(0, len(claims), BATCH):
            part = claims[first : first + BATCH]
            self.ledger.make_durable(part)
            batch = [made for claim in part if (made := self._made(claim))]
            if batch:
                self._submit(batch)

    def _made(self, claim: Claim) -> tuple[Claim, Submission] | None:
        try:
            hashed = claim if claim.sha256 else self.ledger.digest(claim, self._is_stopped)
            self.unsent[claim.id] = hashed
            self._fault("hashed")
            return hashed, self.recipe.submission(self._occasion(hashed))
        except FileNotFoundError:
            log.warning("%s has gone from %s", claim.file_name, shown(claim.folder))
            self.ledger.forget(claim)
        except (OSError, TemplateError, BatonError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in _DISK:
                raise
            self.finisher.give_up(claim, str(error), "failed")
        del self.unsent[claim.id]
        return None

    def _occasion(self, claim: Claim) -> Occasion:
        told = occasion(claim, self.recipe.uses)
        if self.config.dedupe != "content":
            return told
        return dataclasses.replace(told, key=f"content:{self.config.name}:{claim.sha256}")

    def _is_stopped(self) -> bool:
        return self.bell.stopped

    def _submit(self, batch: list[tuple[Claim, Submission]]) -> None:
        entries = [
            Entry(journal=self.recipe.source, what="run", about=claim.file_name, place=place)
            for place, (claim, _) in enumerate(batch, 1)
        ]
        done = self.store.submit([submission for _, submission in batch], None, entries)
        self._fault("submitted")
        for (claim, _), submitted in zip(batch, done, strict=True):
            if submitted.id == claim.id:
                self.finisher.follow(self.ledger.mark_submitted(claim))
                log.info("%s is task %s", claim.file_name, claim.id)
            else:
                self.finisher.repeat(claim, submitted.id)
            del self.unsent[claim.id]
