"""What a poller does about a source that fails: longer and longer pauses, a line in the journal, a standing problem."""

from __future__ import annotations

import logging
from collections import deque

from durable.patience import Patience
from durable.problems import Problems
from durable.records import Entry
from durable.store import LeaseStore
from producers import poll_fates
from producers.sources import RefusedError, SourceError

_FIRST_RETRY_S = 5.0
#: Between tries of a source that fails for long, unless `every` is longer.
_RETRY_CAP_S = 900.0
#: Between tries of a source that refuses our credentials, which a person has to mend.
REFUSED_RETRY_S = 3600.0

#: A source fails for long after so many failures in a row and so much time: a network that comes and goes is
#: not worth a word. Or, where it asks for long pauses, after the second span whatever their number.
_FAILURES, _SOON_S, _LONG_S = 3, 300.0, 900.0


class Trouble:
    """The failures of one source in a row. Times are those of a steady clock."""

    def __init__(
        self,
        name: str,
        every_s: float,
        store: LeaseStore,
        log: logging.Logger,
        app: str,
        host: str = "",
    ) -> None:
        first_s, cap_s = min(_FIRST_RETRY_S, every_s), max(_RETRY_CAP_S, every_s)
        self.patience = Patience("poll", log, first_s=first_s, cap_s=cap_s, every_s=0.0)
        self.subject = f"poller:{name}"
        self._store = store
        self._problems = Problems(store.client, store.prefix, app=app, host=host)
        self._told_later: deque[Entry] = deque()
        self._since = 0.0
        self._refused = False

    def failed(self, now: float, error: SourceError) -> float:
        """Note a failure and return the seconds until the next try; the journal has the first of a row."""
        if not self.patience.failures:
            self._since = now
            self._told_later.append(poll_fates.failed_entry(self.subject, error))
        self._refused = isinstance(error, RefusedError)
        at_least_s = REFUSED_RETRY_S if self._refused else error.wait_s
        return self.patience.failed(now, error, at_least_s)

    def over(self) -> None:
        """The source answers."""
        if failures := self.patience.failures:
            self._told_later.append(poll_fates.back_entry(self.subject, failures))
        self._refused = False
        self.patience.worked()

    def problem(self, now: float, put_off: int) -> str:
        """What stands in the way for so long that a person should know; "" for nothing."""
        failures, lasted_s = self.patience.failures, now - self._since
        if self._refused:
            return f"paused: {self.patience.problem}"
        if failures and (lasted_s >= _LONG_S or (failures >= _FAILURES and lasted_s >= _SOON_S)):
            return f"fails: {self.patience.problem}"
        if put_off:
            items = "1 item is" if put_off == 1 else f"{put_off} items are"
            name = self.subject.partition(":")[2]
            return f"{items} put off, for the prompt cannot be made: ./baton why {name} says the reason"
        return ""

    def tell(self, now: float, put_off: int) -> None:
        """Say what is to be said. Of failures, which move no cursor: twice at worst, never lost to an outage.

        Raises redis.RedisError.
        """
        while self._told_later:
            self._store.submit([], None, [self._told_later[0]])
            self._told_later.popleft()
        if problem := self.problem(now, put_off):
            lasted_s = now - self._since if self.patience.failures else 0.0
            self._problems.tell(self.subject, problem, lasted_s)
        elif not self.patience.failures:
            self._problems.clear(self.subject)
