"""The two queues that the monkey is let loose on: which processes they have, when they are done."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from chaos import evidence
from chaos.arena import INSTANCE, ROOT, Arena
from chaos.oracle import Evidence
from chaos.people import People
from chaos.witness import Witness
from durable.records import FINAL
from durable.store import LeaseStore

_QUIET_S = 3.0


class Side(Protocol):
    """One queue in one arena. Clients of its own go past the proxy."""

    name: str

    def consumer(self, number: int) -> list[str]:
        """The words of a consumer's command line, after Python."""

    def producer(self, name: str, seed: int) -> list[str]:
        """The words of a producer's command line, after Python."""

    def let_people_in(self, seed: int, seconds: float) -> None:
        """From now on, and for so long, people act on this queue too."""

    def send_people_home(self) -> Counter[str]:
        """What they put aside goes on; what they did, by kind. Needs the server."""

    def done(self) -> bool:
        """Whether every task has come to an end, as far as this queue can tell. Raises RedisError."""

    def evidence(self) -> Evidence:
        """What is left, once everybody has gone home. Raises RedisError."""


class BatonSide:
    """Real consumers of a private instance."""

    name = "Baton"

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self._store = LeaseStore(arena.client, f"{{{INSTANCE}}}:")
        self._witness = Witness(arena.client, self._store.prefix)
        self._witness.start()
        self._people: People | None = None

    def consumer(self, number: int) -> list[str]:
        """As PM2 starts it."""
        return [str(ROOT / "app.py"), "consumer", str(number)]

    def producer(self, name: str, seed: int) -> list[str]:
        """See chaos/producer.py."""
        return ["-m", "chaos.producer", "baton", name, str(seed)]

    def let_people_in(self, seed: int, seconds: float) -> None:
        """Into the same store, past the proxy."""
        self._people = People(self._store, seed, seconds)
        self._people.start()

    def send_people_home(self) -> Counter[str]:
        """All that is held goes back, and the gate is opened."""
        if self._people is None:
            return Counter()
        self._people.finish()
        return self._people.done

    def done(self) -> bool:
        """Nothing is ready, scheduled, leased or held."""
        return not any(count for state, count in self._store.counts().items() if state not in FINAL)

    def evidence(self) -> Evidence:
        """Records, events and files."""
        self._witness.finish()
        return evidence.of_baton(self._arena.folder, self._store, self._witness, self._people)


class HueySide:
    """Huey's own consumer on its own Redis storage: the row to compare with."""

    name = "plain Huey"

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self._client: Any = arena.client
        self._grown = _Quiet(lambda: _size(arena.folder / "lines.log"))

    def consumer(self, number: int) -> list[str]:
        """One worker thread, as ours has."""
        return ["-m", "huey.bin.huey_consumer", "chaos.plain.huey", "-w", "1"]

    def producer(self, name: str, seed: int) -> list[str]:
        """See chaos/producer.py."""
        return ["-m", "chaos.producer", "plain", name, str(seed)]

    def let_people_in(self, seed: int, seconds: float) -> None:
        """Nobody: it has no gate, and its revocation knows no states."""

    def send_people_home(self) -> Counter[str]:
        """Nobody came."""
        return Counter()

    def done(self) -> bool:
        """Nothing waits, and no body has written for a while: what runs cannot be asked for."""
        return not any(self._waiting().values()) and self._grown.is_quiet()

    def evidence(self) -> Evidence:
        """Queue lengths and files."""
        return evidence.of_huey(self._arena.folder, self._waiting())

    def _waiting(self) -> dict[str, int]:
        return {
            "queue": int(self._client.llen("huey.redis.chaos")),
            "schedule": int(self._client.zcard("huey.schedule.chaos")),
        }


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


class _Quiet:
    """Whether a number has stood still for a while."""

    def __init__(self, read: Callable[[], int]) -> None:
        self._read, self._was, self._since = read, -1, time.monotonic()

    def is_quiet(self) -> bool:
        now = self._read()
        if now != self._was:
            self._was, self._since = now, time.monotonic()
        return time.monotonic() - self._since > _QUIET_S
