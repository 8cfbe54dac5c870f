"""One process of a queue under test: its client or its worker. Started by benchmarks/queue.py only.

`python -P drive.py PEER_FILE client|worker URL BOARD SLOT [FLAVOUR]`. A peer has `connect(url, mark)`, `enqueue(n)`,
`work()`, and where its library knows batches `enqueue_batch(n)`; the task's body is `mark` and nothing else.
Imports nothing but the standard library: it runs in the environment of the peer.
"""

from __future__ import annotations

import importlib.util
import json
import mmap
import sys
import time
from pathlib import Path
from typing import Any

SLOTS = 8
_WIDTH = 2  # times marked, and when last, in ns of the monotonic clock that all processes share
BATCH = 100


class Board:
    """Shared memory in which each worker counts the tasks that it ran: seen at once, asks no server."""

    def __init__(self, path: str) -> None:
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), SLOTS * _WIDTH * 8)
        self._cells = memoryview(self._map).cast("Q")

    @staticmethod
    def create(path: Path) -> Board:
        path.write_bytes(bytes(SLOTS * _WIDTH * 8))
        return Board(str(path))

    def mark(self, slot: int) -> None:
        self._cells[slot * _WIDTH + 1] = time.monotonic_ns()
        self._cells[slot * _WIDTH] += 1

    def count(self) -> int:
        return sum(self._cells[0::_WIDTH])

    def count_of(self, slot: int) -> int:
        return self._cells[slot * _WIDTH]

    def latest_ns(self) -> int:
        return max(self._cells[1::_WIDTH])


def load(path: str) -> Any:
    """The peer's file as the module `peer`, so that a library finds the task by that name."""
    spec = importlib.util.spec_from_file_location("peer", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["peer"] = module
    spec.loader.exec_module(module)
    return module


def client(peer: Any, board: Board) -> None:
    """Obey one JSON order a line: [verb, number]; answer each with one line."""
    verbs = {
        "one": lambda n: _timed(peer.enqueue, n),
        "batch": lambda n: _batches(peer, n),
        "latency": lambda n: _latencies(peer, board, n),
    }
    for line in sys.stdin:
        verb, number = json.loads(line)
        print(json.dumps(verbs[verb](number)), flush=True)


def _timed(call: Any, n: int) -> float:
    begun = time.perf_counter()
    call(n)
    return time.perf_counter() - begun


def _batches(peer: Any, n: int) -> float | None:
    """Seconds for n tasks in hundreds; None where the library has no batch."""
    batch = getattr(peer, "enqueue_batch", None)
    if batch is None:
        return None
    return sum(_timed(batch, min(BATCH, n - done)) for done in range(0, n, BATCH))


def _latencies(peer: Any, board: Board, n: int, within_s: float = 15.0) -> list[float]:
    """Milliseconds from submit to the body's start, one task at a time on an idle queue."""
    found: list[float] = []
    until = time.monotonic() + within_s
    while len(found) < n and time.monotonic() < until:
        before, sent = board.count(), time.monotonic_ns()
        peer.enqueue(1)
        while board.count() == before and time.monotonic() < until:
            time.sleep(0.001)
        if board.count() != before:
            found.append((board.latest_ns() - sent) / 1e6)
        time.sleep(0.015)  # the worker is back at its wait
    return found


def main(file: str, role: str, url: str, board_path: str, slot: str, flavour: str = "") -> None:
    board, number = Board(board_path), int(slot)
    peer = load(file)
    if flavour:
        peer.flavour = flavour
    peer.connect(url, lambda: board.mark(number))
    if role == "client":
        client(peer, board)
    else:
        peer.work()


if __name__ == "__main__":
    main(*sys.argv[1:])
