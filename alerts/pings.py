"""A watchdog outside is told that schedules and the instance live, so that silence is noticed.

The protocol is that of Healthchecks (https://healthchecks.io/docs/http_api/): a request to the address is a success,
to address/start a beginning, to address/fail a failure, whose reason may be the body of a POST.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit, urlunsplit

import msgspec

from alerts.delivery import DeliveryError, Web
from alerts.times import RETRY_S
from durable.alerting import Change
from durable.patience import Patience
from durable.records import Record, State, Told
from durable.store import LeaseStore

log = logging.getLogger(__name__)

#: What a body may weigh, characters.
_BODY = 4000
#: So many tasks of one schedule are followed at a time.
_FOLLOWED = 50
_JOURNAL = 200


class Standing(msgspec.Struct, kw_only=True):
    """How far the pings of one schedule are: the last task seen, and those whose end is yet to be told."""

    seen: str = ""
    started: dict[str, bool] = {}  # id -> whether its start was told


class Pinger:
    """One address, with patience where it does not answer. A ping that comes late is sent late, once."""

    def __init__(self, url: str, web: Web, what: str, clock: Callable[[], float] = time.monotonic):
        self.url, self._web, self._clock = url, web, clock
        first_s, cap_s = RETRY_S
        self._away = Patience(what, log, first_s=first_s, cap_s=cap_s)

    def ping(self, suffix: str = "", body: str = "") -> bool:
        """Whether it was taken."""
        if self._away.waiting(self._clock()):
            return False
        said = body[:_BODY].encode("utf-8", "backslashreplace") if body else None
        try:
            self._web.ask("POST" if said else "GET", with_suffix(self.url, suffix), said, {})
        except DeliveryError as error:
            self._away.failed(self._clock(), error)
            return False
        self._away.worked()
        return True


def with_suffix(url: str, suffix: str) -> str:
    """The address with /start or /fail at the end of its path, before a query."""
    if not suffix:
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{suffix}"))


class SchedulePings:
    """The start and the end of each tick's task, from what is durable: the journal and the task's record."""

    def __init__(self, pingers: Mapping[str, Pinger], store: LeaseStore) -> None:
        self._pingers, self.store = pingers, store

    def look(self, written: Mapping[str, bytes]) -> list[Change]:
        """Ping what is new; what is to be written of it. Raises redis.RedisError.

        A kill between a ping and its note repeats the ping, which says the same.
        """
        changes = []
        for name, pinger in self._pingers.items():
            before = written.get(name)
            standing = msgspec.json.decode(before, type=Standing) if before else None
            after = self._one(name, pinger, standing)
            if before != (text := msgspec.json.encode(after)):
                changes.append(Change("pings", name, text))
        return changes

    def _one(self, name: str, pinger: Pinger, standing: Standing | None) -> Standing:
        told = [
            t for t in self.store.journal(f"schedule:{name}", _JOURNAL if standing else 1) if t.id
        ]
        ran = [t.id for t in told if t.what in ("run", "late")]
        if standing is None:  # nothing is told of what was before
            return Standing(seen=ran[0] if ran else "")
        for task_id in fresh(told, standing.seen):
            standing.started[task_id] = False
        standing.seen = ran[0] if ran else standing.seen
        standing.started = dict(list(standing.started.items())[-_FOLLOWED:])
        records = self.store.records(list(standing.started))
        for task_id, record in zip(list(standing.started), records, strict=True):
            self._tell(pinger, standing, task_id, record)
        return standing

    def _tell(
        self, pinger: Pinger, standing: Standing, task_id: str, record: Record | None
    ) -> None:
        if record is None:
            del standing.started[task_id]
            return
        ended = end_of(record)
        begun = bool(record.started_ms) or ended is not None
        if begun and not standing.started[task_id] and pinger.ping("start"):
            standing.started[task_id] = True
        if ended is not None and standing.started[task_id] and pinger.ping(*ended):
            del standing.started[task_id]


def fresh(told: Sequence[Told], seen: str) -> list[str]:
    """The ids of tasks of ticks since `seen`, the oldest first."""
    found = []
    for entry in told:
        if entry.id == seen and entry.what in ("run", "late"):
            break
        if entry.what in ("run", "late"):
            found.append(entry.id)
    return found[::-1]


def end_of(record: Record) -> tuple[str, str] | None:
    """The suffix and the body that say how a task ended; None while it goes on."""
    if record.state is State.SUCCEEDED:
        return "", ""
    if record.state.final or record.state is State.HELD:
        why = f"{record.outcome}: {record.reason}".strip(": ")
        return "fail", f"task {record.id} is {record.state.value}: {why}"
    return None
