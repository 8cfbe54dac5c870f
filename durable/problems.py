"""Standing problems: what keeps a part of Baton on one host from its work, since when, in words.

A part tells of its problem while it stands and clears it when it is over; `status` prints what stands. One
subject has one problem on one host. What became of single ticks, files and items is in the journals.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any

import msgspec
import redis

from durable.identity import host_name
from durable.scripting import Scripts
from durable.standing import FORGOTTEN_MS, STALE_MS, Problem, Standing, problem_of

__all__ = ["AGAIN_S", "FORGOTTEN_MS", "STALE_MS", "Problem", "Problems"]

#: A problem that stands and is told again and again is written this often, s.
AGAIN_S = 60.0


class Problems(Standing, Scripts):
    """The problems of one queue, for the part that has some and for those who look.

    Every call raises redis.RedisError when the server is away; repeating any of them is harmless.
    """

    def __init__(
        self,
        client: redis.Redis,
        prefix: str,
        *,
        app: str = "",
        host: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(client, prefix)
        self.app, self.host = app, host or host_name()
        self._clock = clock
        self._told: dict[str, tuple[str, float]] = {}  # what each subject last said, and when

    def tell(self, subject: str, text: str, lasted_s: float = 0.0) -> bool:
        """`text` stands in the way; True when nothing stood before. Cheap to call at every turn.

        It has stood for `lasted_s` already; what was told before keeps its `since_ms`. The same text goes to the
        server once a minute.
        """
        said, at = self._told.get(subject, ("", 0.0))
        now = self._clock()
        if text == said and now - at < AGAIN_S:
            return False
        facts: dict[str, Any] = {"subject": subject, "host": self.host, "app": self.app}
        facts |= {"text": _plain(text), "lasted_ms": round(lasted_s * 1000)}
        new = self._run("problem", self._field(subject), msgspec.json.encode(facts))
        self._told[subject] = (text, now)
        return bool(new)

    def clear(self, subject: str) -> bool:
        """Nothing stands in the way; True when something did. Cheap to call at every turn.

        The first call of a process always asks the server: what the process before it told may stand.
        """
        if self._told.get(subject, ("-", 0.0))[0] == "":
            return False
        stood = self._run("problem", self._field(subject), "")
        self._told[subject] = ("", self._clock())
        return bool(stood)

    def keep(self, kinds: Collection[str], subjects: Collection[str]) -> list[str]:
        """Forget what this host told of entries that are gone; the subjects forgotten.

        Gone is a subject of one of these kinds (`watcher`, `poller` …) that is not among `subjects`. On other
        hosts, only what nobody has told for a week.
        """
        found: Any = self.client.hgetall(self._key("problems"))
        oldest = self.now_ms() - FORGOTTEN_MS
        gone = []
        for field, value in found.items():
            problem = problem_of(value)
            kind = problem.subject.partition(":")[0]
            dropped = kind in kinds and problem.subject not in subjects
            if problem.seen_ms <= oldest or (dropped and problem.host == self.host):
                self.client.hdel(self._key("problems"), field)
                gone.append(problem.subject)
        return gone

    def _field(self, subject: str) -> str:
        return f"{subject}|{self.host}"


def _plain(text: str) -> str:
    """Text that every reader of JSON takes: a file's name may have bytes that are no UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()
