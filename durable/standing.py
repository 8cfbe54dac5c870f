"""Standing problems as they are read: what keeps a part of Baton on one host from its work, and since when."""

from __future__ import annotations

from typing import Any

import msgspec

from durable.keyspace import Keyspace

#: Not told again for so long: whoever told it has stopped, and it may be over.
STALE_MS = 5 * 60_000
#: Nobody has told it for so long: a host that is gone, or has another name now.
FORGOTTEN_MS = 7 * 86_400_000


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One that stands. Times are ms of the server's clock since 1970."""

    subject: str  # watcher:inbox, poller:news, schedule:nightly, disk, app:…
    host: str  # as people know it
    text: str
    app: str = ""  # who told it
    since_ms: int
    seen_ms: int  # when it was last told

    def is_stale(self, now_ms: int) -> bool:
        """Whether its part has not spoken for a while (it is told again every minute): it may be over."""
        return now_ms - self.seen_ms > STALE_MS


def problem_of(value: bytes) -> Problem:
    """One as it is stored; what nobody can read has been told by nobody since 1970, and goes as such things do."""
    try:
        return msgspec.json.decode(value, type=Problem, strict=False)
    except msgspec.MsgspecError:
        return Problem(subject="", host="", text="", since_ms=0, seen_ms=0)


class Standing(Keyspace):
    """The problems of one queue, for those who look. Raises redis.RedisError when the server is away."""

    def standing(self) -> list[Problem]:
        """All that stand, on all hosts, the oldest first; without those of hosts not heard of for a week."""
        found: Any = self.client.hvals(self._key("problems"))
        problems = [problem_of(value) for value in found]
        oldest = self.now_ms() - FORGOTTEN_MS if problems else 0
        return sorted(
            (problem for problem in problems if problem.seen_ms > oldest),
            key=lambda problem: (problem.since_ms, problem.subject, problem.host),
        )
