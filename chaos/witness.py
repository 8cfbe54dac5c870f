"""Reads the queue's event stream while it is written: who was leased, who was settled, and how often."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import redis

from chaos.obeyed import Claimed, Place

_LOOK_S = 0.2
_PAGE = 5_000


class Witness(threading.Thread):
    """Follows `{prefix}events` past the monkey's proxy. The stream keeps 10,000 events; this misses none."""

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        super().__init__(name="witness", daemon=True)
        self._client, self._stream = client, prefix + "events"
        self._last = b"0"
        self._stop_asked = threading.Event()
        self.seen: dict[str, Counter[str]] = {}
        self.claims: list[Claimed] = []

    def run(self) -> None:
        """Look until told to stop."""
        while not self._stop_asked.wait(_LOOK_S):
            try:
                self.look()
            except redis.RedisError:
                continue  # the monkey has it; the stream is in the append-only file

    def look(self) -> None:
        """Everything since the last look. Raises redis.RedisError."""
        while entries := self._page():
            for number, fields in entries:
                event, task = fields[b"event"].decode(), fields[b"id"].decode()
                self.seen.setdefault(event, Counter())[task] += 1
                if event == "leased":
                    self.claims.append(Claimed(place(number), task))
                self._last = number

    def _page(self) -> list[Any]:
        answer: Any = self._client.xread({self._stream: self._last}, count=_PAGE)
        if isinstance(answer, dict):
            return [entry for part in answer.values() for entry in _flat(part)]
        return answer[0][1] if answer else []

    def finish(self) -> None:
        """Stop, then look once more."""
        self._stop_asked.set()
        self.join(10)
        self.look()


def place(number: bytes | str) -> Place:
    """Where an entry of this number (`ms-n`) stands, so that two can be compared."""
    text = number.decode() if isinstance(number, bytes) else number
    ms, _, n = text.partition("-")
    return int(ms), int(n)


def _flat(part: Any) -> list[Any]:
    """The entries of one stream, which RESP3 wraps once more."""
    return part[0] if part and isinstance(part[0], list) else part
