"""What other machines' watchers of a shared folder have claimed: finished for those that do not come back.

Nobody can tell a machine that is gone from one that is slow, so nothing here needs to: each step of a claim may
be done by two watchers at once. The submit is of the same id, and putting a file away ends with the first. All
that is waited for is that it would be needless.
"""

from __future__ import annotations

import logging
import os

from durable.records import Record
from durable.store import LeaseStore
from producers.claims import Ledger, shown
from producers.finishing import AT_ONCE, Finisher
from producers.intake import Intake
from producers.notes import Claim

log = logging.getLogger(__name__)

LOOK_S = 30.0
#: A claim is its maker's for so long: after it was first seen here, and again after its task has ended.
PATIENCE_S = 60.0


class Others:
    """The claims in the ledger that this watcher does not look after. Times are those of its own clock."""

    def __init__(
        self, ledger: Ledger, intake: Intake, finisher: Finisher, store: LeaseStore
    ) -> None:
        self.ledger, self.intake, self.finisher, self.store = ledger, intake, finisher, store
        self._since: dict[bytes, float] = {}  # name in the ledger: when it was first seen here
        self.due = 0.0

    def look(self, now: float) -> None:
        """Take over what has stood for long. Raises RedisError and OSError."""
        if now < self.due:
            return
        self.due = now + LOOK_S
        own = {*self.intake.unsent, *self.finisher.known}
        names = [name for name in self.ledger.names() if os.fsdecode(name) not in own]
        self._since = {name: self._since.get(name, now) for name in names}
        old = [name for name, since in self._since.items() if now - since >= PATIENCE_S]
        # Those that were looked at go to the end: the others have their turn first.
        for name in old[:AT_ONCE]:
            self._since[name] = self._since.pop(name)
        claims = [claim for name in old[:AT_ONCE] if (claim := self.ledger.find(name))]
        self.finisher.trace(self.ledger.emptied)
        records = self.store.records([claim.id for claim in claims])
        server_ms = self.store.now_ms() if claims else 0
        for claim, record in zip(claims, records, strict=True):
            self._take(claim, record, server_ms)

    def _take(self, claim: Claim, record: Record | None, server_ms: int) -> None:
        if record is None and not claim.submitted:
            log.warning("%s was claimed elsewhere and not sent: sent from here", shown(claim.path))
            self.intake.unsent[claim.id] = claim
        elif record is None or _ended_long_ago(record, server_ms):
            log.warning(
                "%s was claimed elsewhere and has ended: put away from here", claim.file_name
            )
            self.finisher.follow(claim)


def _ended_long_ago(record: Record, server_ms: int) -> bool:
    return record.state.final and server_ms - record.finished_ms > PATIENCE_S * 1000
