"""One key prefix of one Redis: the names of its keys, and its clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import redis


class Keyspace:
    """What looks at a queue and what changes it have in common. May be used by several threads."""

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        self.client = client
        self.prefix = prefix

    def _key(self, name: str) -> str:
        return self.prefix + name

    def now_ms(self) -> int:
        """The server's clock, ms since 1970: the only one that the queue goes by."""
        seconds, micros = self.client.time()
        return int(seconds) * 1000 + int(micros) // 1000
