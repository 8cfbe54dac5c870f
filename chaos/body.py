"""What a task does in a chaos run: it writes down that it lives, on a clock that all processes share."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

# Goes on while a machine sleeps; where there is none (macOS), CLOCK_MONOTONIC does.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_STEP_S = 0.02


class Line(NamedTuple):
    """One sign of life of one run of a task; `word` is begin, alive, stumble or end."""

    word: str
    task: str
    run: str
    at_ns: int


class Overtaken(Exception):  # noqa: N818  # it is an order to stop, not an error
    """The lease may have been given on, so the body stops without another line."""


def now_ns() -> int:
    """Nanoseconds since the machine started."""
    return time.clock_gettime_ns(_CLOCK)


class Diary:
    """Appends the lines of one run to a file that all processes write to."""

    def __init__(self, file: Path, task: str, run: str, allowed: Callable[[int], bool]) -> None:
        self.file, self.task, self.run, self.allowed = file, task, run, allowed

    def live(self, seconds: float, last_word: str = "end") -> None:
        """Begin, be alive for so long, end. Raises Overtaken at the first moment that is not allowed."""
        until = now_ns() + int(seconds * 1e9)
        self._write("begin")
        while now_ns() < until:
            time.sleep(_STEP_S)
            self._write("alive")
        self._write(last_word)

    def _write(self, word: str) -> None:
        # The moment is taken first and checked second: what is written is a moment that was allowed,
        # however long the process is stopped between these lines.
        moment = now_ns()
        if not self.allowed(moment):
            raise Overtaken
        line = f"{word} {self.task} {self.run} {moment}\n".encode()
        fd = os.open(self.file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(fd, line)  # one call: a kill leaves all of it or nothing
        finally:
            os.close(fd)


def read(file: Path) -> list[Line]:
    """All lines so far; none when nothing has run."""
    if not file.exists():
        return []
    rows = (line.split() for line in file.read_text().splitlines())
    return [Line(row[0], row[1], row[2], int(row[3])) for row in rows]
