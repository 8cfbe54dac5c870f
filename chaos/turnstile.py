"""A proxy that kills its client at one chosen round trip: before the server gets it, or before the client does."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from chaos.proxy import Pair, Proxy

BEFORE, AFTER = "before the request", "before the reply"
_CALL = re.compile(rb"FCALL\r\n\$\d+\r\nbaton_[0-9a-f]+_(\w+)\r\n")
_NAME = re.compile(rb"\*\d+\r\n\$\d+\r\n([A-Za-z]+)\r\n")


class Point(NamedTuple):
    """The `number`th request (from 1) of this kind, and on which side of the server the client dies."""

    kind: str
    number: int
    side: str


class Turnstile(Proxy):
    """Counts requests by kind; nothing passes any more once the client has been killed."""

    def __init__(self, listen: Path, server: Path) -> None:
        super().__init__(listen, server)
        self._point: Point | None = None
        self._pid = 0
        self._doomed: Pair | None = None
        self.seen: Counter[str] = Counter()
        self.killed = threading.Event()

    def arm(self, point: Point | None, pid: int) -> None:
        """Kill this process at that point; call it before the process may connect."""
        self._point, self._pid = point, pid

    def _is_to_be_kept_from_the_server(self, pair: Pair, chunk: bytes) -> bool:
        if self.killed.is_set():
            return True
        kind = self._kind(chunk)
        self.seen[kind] += 1
        if self._point is None or (kind, self.seen[kind]) != self._point[:2]:
            return False
        if self._point.side == BEFORE:
            self._kill()
            return True
        self._doomed = pair
        return False

    def _is_to_be_lost(self, pair: Pair, chunk: bytes) -> bool:
        if pair is self._doomed and not self.killed.is_set():
            self._kill()
        return self.killed.is_set()

    def _kill(self) -> None:
        self.killed.set()
        os.kill(self._pid, signal.SIGKILL)

    def _kind(self, chunk: bytes) -> str:
        """The transition of a request, or the name of its command; what waits for a beat is a kind of its own."""
        called = _CALL.search(chunk)
        if called:
            return called[1].decode()
        found = _NAME.match(chunk)
        name = found[1].decode() if found else "unknown"
        return f"{name} poke" if b":poke:" in chunk else name
