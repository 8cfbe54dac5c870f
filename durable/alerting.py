"""What alerts stand on: the news that transitions note, and what is open, to be sent and sent, in Redis.

Of all hosts one is on watch at a time. It takes news in and writes what came of them in one step (alert.lua), so
that a kill loses none and counts none twice. What becomes of news is decided in alerts/.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from durable.scripting import Scripts

#: So many news are taken in at a look.
AT_ONCE = 500
#: What is said of a line that is no news; `why` shows it.
UNREADABLE = "unreadable"


class News(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened, as lib/news.lua notes it."""

    what: str  # failed, held; no longer failed, no longer held; late, skipped (of a tick)
    source: str = ""
    id: str = ""  # the task's
    outcome: str = ""
    why: str = ""
    about: str = ""  # the tick
    count: int = 1
    at_ms: int = 0


class Change(NamedTuple):
    """One field of one of the hashes (incidents, outbox, pings), or of `sent`; "" removes it."""

    where: str
    field: str
    value: bytes | str = ""


class Board(NamedTuple):
    """All that is written: JSON by key, and the turn that a change must name."""

    turn: str
    incidents: dict[str, bytes]
    outbox: dict[str, bytes]
    pings: dict[str, bytes]


class Fresh(NamedTuple):
    """What has not been taken in yet."""

    news: list[News]
    unnoted: int  # how many more there were while the list was full


class Alerting(Scripts):
    """The alerts of one queue. Every call raises redis.RedisError when the server is away."""

    def watch(self, owner: str, hold_ms: int, *, on: bool) -> str:
        """Be on watch for so long: the token that proves it, "" while another is. 0 ms gives it up.

        With `on`, news are noted from the first time on.
        """
        return str(self._run("watch", owner, hold_ms, int(on)).decode())

    def board(self) -> Board:
        """What stands there now."""
        pipe = self.client.pipeline(transaction=True)
        pipe.hget(self._key("alerts"), "turn")
        for name in ("incidents", "outbox", "pings"):
            pipe.hgetall(self._key(f"alerts:{name}"))
        turn, *hashes = pipe.execute()
        return Board((turn or b"0").decode(), *(_by_name(found) for found in hashes))

    def fresh(self) -> Fresh:
        """The oldest news, at most AT_ONCE."""
        pipe = self.client.pipeline(transaction=True)
        pipe.lrange(self._key("alerts:news"), 0, AT_ONCE - 1)
        pipe.hget(self._key("alerts"), "unnoted")
        lines, unnoted = pipe.execute()
        return Fresh([_news(line) for line in lines], int(unnoted or 0))

    def write(
        self, token: str, turn: str, taken: int, changes: Sequence[Change], unnoted: int = 0
    ) -> bool:
        """Take `taken` news in with what came of them; False when that is another's to do now."""
        args = [value for change in changes for value in change]
        return bool(self._run("alert", token, turn, taken, unnoted, *args))

    def sent(self, limit: int = 20) -> list[dict[str, Any]]:
        """What became of the last deliveries, the newest first."""
        lines: Any = self.client.lrange(self._key("alerts:sent"), 0, limit - 1)
        return [msgspec.json.decode(line) for line in lines]

    def watcher(self) -> tuple[str, bool]:
        """Who is or was on watch last, and whether its time is not over."""
        found: Any = self.client.hmget(self._key("alerts"), ["owner", "until"])
        owner, until = found
        return (owner or b"").decode(), int(until or 0) > self.now_ms()


def _by_name(found: dict[bytes, bytes]) -> dict[str, bytes]:
    return {name.decode(): value for name, value in found.items()}


def _news(line: bytes) -> News:
    """A reason may hold bytes that are no UTF-8. A line that is no news would be the first one for ever."""
    text = line.decode("utf-8", "replace")
    try:
        return msgspec.json.decode(text, type=News, strict=False)
    except msgspec.MsgspecError as error:
        return News(what=UNREADABLE, why=f"{error}: {text[:500]}")
