"""Who is on watch: takes news and conditions in, sends what came of them, and writes each step before the next.

Of all hosts one is, by a lease in Redis; the others look at their own host only. Delivery is at least once: a
message is marked before it is sent and removed after, so that a kill in between sends the same one again, with the
same incident. Failures that were noted are in exactly one message.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import msgspec
import redis

import producers.faults
import settings as types
from alerts.conditions import Conditions
from alerts.delivery import DeliveryError, Way
from alerts.ledger import Ledger
from alerts.messages import Condition, Message, payload
from alerts.overdue import Overdue
from alerts.pings import SchedulePings
from alerts.times import RETRY_S, WATCH_MS
from durable.alerting import Alerting, Change, Fresh
from durable.patience import Patience
from durable.store import LeaseStore
from producers.faults import Faults

log = logging.getLogger(__name__)
T = TypeVar("T")

#: So long a look goes on sending before it looks again, s.
_SENDING_S = 5.0
#: A message that is refused for what it is (400 and its like) is tried so often.
_REFUSALS = 5
#: Reasons for which the gate is closed that no time mends.
_NEEDS_A_PERSON = {"login", "billing", "claude missing"}


class Asked(NamedTuple):
    """Who is asked, and where what is found goes."""

    store: LeaseStore
    alerting: Alerting
    conditions: Conditions
    overdue: Overdue
    pings: SchedulePings
    way: Way | None


class LostError(Exception):
    """Another is on watch, or was: what is in memory here is not what stands in Redis."""


class Sentry:
    """What one host does for all. Every call raises redis.RedisError when the server is away."""

    def __init__(
        self,
        settings: types.Settings,
        asked: Asked,
        owner: str,
        *,
        faults: Faults = producers.faults.none,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings, self.owner, self._clock, self._fault = settings, owner, clock, faults
        self.store, self.alerting, self.conditions, self.overdue, self.pings, self.way = asked
        self.alerts = settings.alerts or types.Alerts()
        first_s, cap_s = RETRY_S
        self.trouble = Patience("alert", log, first_s=first_s, cap_s=cap_s)
        self._hold_ms = WATCH_MS + int(self.alerts.timeout * 1000)
        self._ledger: Ledger | None = None
        self._token = self._turn = ""
        self._pinged: dict[str, bytes] = {}
        self._slow: list[Condition] | None = []  # None: they could not be asked
        self._refused = 0
        #: Parts of the last look that failed for no reason that was foreseen, with why.
        self.broken: dict[str, str] = {}
        self._failing: set[str] = set()

    def look(self, *, slow: bool) -> bool:
        """Do what is due; whether this host is on watch. `slow` asks for what takes longer, too."""
        self._failing, self.broken = set(self.broken), {}
        try:
            return self._looked(slow=slow)
        except LostError:
            log.info("another host has taken the watch over")
        finally:
            if self._token == "":
                self.forget()
        return False

    def forget(self) -> None:
        """What stands in Redis is read again before anything is written."""
        self._ledger, self._token = None, ""

    def leave(self) -> None:
        """Another host may be on watch at once."""
        if self._token:
            self.alerting.watch(self.owner, 0, on=self.way is not None)

    def ill(self, now_ms: int) -> list[str]:
        """Why not all is well, in words; empty when it is."""
        found = [
            f"the gate is closed for {entry.reason}"
            for entry in self.store.gate()
            if entry.reason in _NEEDS_A_PERSON
        ]
        if self.conditions.without_consumers(now_ms):
            found.append("no consumer is at work")
        standing = [*(self._slow or []), *self.conditions.now(now_ms)]
        wanted = {"process", "queue", "schedule"}
        found += [f"{part} cannot be looked at: {why}" for part, why in self.broken.items()]
        return found + [c.text for c in standing if c.kind in wanted and not c.weak]

    def _looked(self, *, slow: bool) -> bool:
        token = self.alerting.watch(self.owner, self._hold_ms, on=self.way is not None)
        if token != self._token:
            self.forget()
        self._token = token
        if not token:
            return False
        now_ms = self.store.now_ms()
        ledger, first = self._read()
        if slow or first or self._slow is None:
            self._slow = self._guarded("queues and ticks", lambda: self._asked_slowly(now_ms))
        if self.way is not None:
            self._account(ledger, now_ms)
            self._send(ledger, self.way)
        self._guarded("pings of schedules", self._ping)
        return True

    def _asked_slowly(self, now_ms: int) -> list[Condition]:
        return [
            *self.conditions.unserved(now_ms),
            *self.overdue.conditions(now_ms, self.alerts.after),
        ]

    def _guarded(self, part: str, call: Callable[[], T]) -> T | None:
        """None when it raises what nobody foresaw: the same at every look, it is to keep nothing else from its work."""
        try:
            return call()
        except (redis.RedisError, LostError):
            raise
        except Exception as error:
            if part not in self._failing:
                log.exception("%s cannot be looked at", part)
            self.broken[part] = repr(error)
            return None

    def _read(self) -> tuple[Ledger, bool]:
        if self._ledger is not None:
            return self._ledger, False
        board = self.alerting.board()
        self._turn, self._pinged = board.turn, board.pings
        self._ledger = Ledger(board, self.alerts.on)
        return self._ledger, True

    def _account(self, ledger: Ledger, now_ms: int) -> None:
        """Take in what has happened and what stands, and write it in one step."""
        fresh = self.alerting.fresh()
        ledger.take(fresh.news, now_ms, self._gone(fresh))
        if fresh.unnoted:
            ledger.note(
                "failed",
                f"{fresh.unnoted} more tasks failed or were held, or ticks were missed",
                now_ms,
            )
        self._guarded("late schedules", lambda: self._on_time(ledger, now_ms))
        standing = self._guarded("what stands", lambda: self.conditions.now(now_ms))
        if standing is not None and self._slow is not None:  # what is not known is not over
            ledger.stand([*standing, *self._slow], now_ms)
        self._fault("counted")
        self._write(ledger.changes(), fresh)

    def _on_time(self, ledger: Ledger, now_ms: int) -> None:
        for incident in ledger.late_schedules():
            last = self.store.journal(incident.subject, 1)
            if last and last[0].what == "run" and last[0].at_ms >= incident.since_ms:
                ledger.on_time(incident, now_ms)

    def _gone(self, fresh: Fresh) -> set[str]:
        """Tasks that are no longer failed because their records were pruned."""
        ids = [news.id for news in fresh.news if news.what.startswith("no longer")]
        return {i for i, end in zip(ids, self.store.ends(ids), strict=True) if end is None}

    def _send(self, ledger: Ledger, way: Way) -> None:
        give_up = self._clock() + _SENDING_S
        while self._clock() < give_up and not self.trouble.waiting(self._clock()):
            now_ms = self.store.now_ms()
            message = ledger.due(now_ms)
            if message is None:
                return
            if not message.taken:
                ledger.begin(message)
                self._write(ledger.changes())
            self._fault("begun")
            outcome = self._delivered(way, message, now_ms)
            self._fault("sent")
            if outcome:
                ledger.done(message)
                self._write([*ledger.changes(), record(message, outcome, now_ms)])

    def _delivered(self, way: Way, message: Message, now_ms: int) -> str:
        """What became of it; "" where it is to be tried again."""
        try:
            body = msgspec.json.encode(payload(message, self.settings.instance, now_ms))
        except Exception as error:
            log.exception("cannot be put into words: %s", message)
            return f"given up: {error!r}"
        try:
            way.send(body)
        except DeliveryError as error:
            return self._failed(message, error, now_ms)
        except Exception as error:
            log.exception("nobody foresaw this of a delivery")
            return self._failed(message, DeliveryError(type(error).__name__), now_ms)
        self.trouble.worked()
        self._refused = 0
        log.info("%s %s %s: delivered", message.state, message.kind, message.subject)
        return "delivered"

    def _failed(self, message: Message, error: DeliveryError, now_ms: int) -> str:
        self._refused = self._refused + 1 if error.permanent else 0
        if self._refused >= _REFUSALS:
            self._refused = 0
            log.error("%s %s: given up, %s", message.kind, message.subject, error)
            return f"given up: {error}"
        if not self.trouble.failures:
            self._write([record(message, f"failed, to be tried again: {error}", now_ms)])
        self.trouble.failed(self._clock(), error)
        return ""

    def _ping(self) -> None:
        changes = self.pings.look(self._pinged)
        self._write(changes)
        self._pinged |= {change.field: bytes(change.value) for change in changes}  # type: ignore[arg-type]

    def _write(self, changes: Sequence[Change], fresh: Fresh | None = None) -> None:
        """Raises LostError, and has written nothing, when this host is not on watch any more."""
        taken, unnoted = (len(fresh.news), fresh.unnoted) if fresh else (0, 0)
        if not (changes or taken or unnoted):
            return
        if not self.alerting.write(self._token, self._turn, taken, changes, unnoted):
            self._token = ""
            raise LostError
        self._turn = str(int(self._turn) + 1)


def record(message: Message, outcome: str, now_ms: int) -> Change:
    """What became of a delivery, for `./baton alerts`."""
    told = {
        "at_ms": now_ms,
        "incident": message.incident,
        "state": message.state,
        "kind": message.kind,
        "subject": message.subject,
        "count": message.count,
        "outcome": outcome,
    }
    return Change("sent", "", msgspec.json.encode(told))
