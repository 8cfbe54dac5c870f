"""Which consumers take from which queues, on all machines, and where tasks wait that nobody takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from durable.keyspace import Keyspace

#: A consumer says so this often, s; it does without a word for a few times.
ANNOUNCE_S = 60.0
#: Not heard of for so long: it takes nothing any more.
FRESH_MS = 3 * 60_000
#: Nor is it ever shown again.
FORGOTTEN_MS = 7 * 86_400_000


class Presence(msgspec.Struct, frozen=True, kw_only=True):
    """A consumer that takes from `queues`. Times are ms of the server's clock since 1970."""

    owner: str
    host: str  # as people call it
    queues: tuple[str, ...]
    seen_ms: int

    @property
    def host_id(self) -> str:
        """The machine itself, whatever it is called: see durable/identity.py."""
        return self.owner.split(":")[1] if ":" in self.owner else self.owner

    def is_fresh(self, now_ms: int) -> bool:
        """Whether it spoke lately."""
        return now_ms - self.seen_ms < FRESH_MS


class Presences(Keyspace):
    """What consumers have said of themselves. Every call raises redis.RedisError when the server is away."""

    def consumers(self) -> list[Presence]:
        """All that were heard of in the last week, by host and name."""
        found: Any = self.client.hgetall(self._key("consumers"))
        said = [(owner.decode(), *value.split(b" ", 1)) for owner, value in found.items()]
        all_of_them = [
            Presence(owner=owner, seen_ms=int(seen), **_said(text)) for owner, seen, text in said
        ]
        return sorted(all_of_them, key=lambda one: (one.host, one.owner))

    def waiting(self) -> dict[str, int]:
        """How many tasks could run now, or as soon as those before them in their lock have, by queue."""
        lanes = [lane.decode() for lane in self._members("lanes")]
        lines: Any = self.client.hkeys(self._key("heads"))
        pipe = self.client.pipeline(transaction=False)
        for lane in lanes:
            pipe.zcard(self._key("ready:{}:{}".format(*lane.rsplit("|", 1))))
        for line in lines:
            pipe.zcard(self._key("waiting:") + line.decode())
        counted: dict[str, int] = {}
        queues = [lane.rsplit("|", 1)[0] for lane in lanes]
        queues += [line.decode().rsplit("|", 2)[1] for line in lines]
        for queue, count in zip(queues, pipe.execute(), strict=True):
            counted[queue] = counted.get(queue, 0) + count
        return {queue: count for queue, count in sorted(counted.items()) if count}

    def _members(self, name: str) -> list[bytes]:
        found: Any = self.client.smembers(self._key(name))
        return sorted(found)


def _said(text: bytes) -> dict[str, Any]:
    said = msgspec.json.decode(text)
    return {"host": said["host"], "queues": tuple(said["queues"])}


def unserved(consumers: Sequence[Presence], waiting: dict[str, int], now_ms: int) -> dict[str, int]:
    """Of the queues in which tasks wait those that no consumer takes from, with how many wait."""
    served = {queue for one in consumers if one.is_fresh(now_ms) for queue in one.queues}
    return {queue: count for queue, count in waiting.items() if queue not in served}
