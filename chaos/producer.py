"""A producer of a chaos run: `python -m chaos.producer SIDE NAME SEED`. It may be killed at any moment.

It puts tasks in by every way that there is: a cursor of its own, one that all producers share, keys
without a cursor, and Huey's own face.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

#: A producer rests while more tasks than this wait.
_BACKLOG = 25
_REST_S = 0.1

_stop = threading.Event()


class Side(Protocol):
    """A queue that a producer can fill."""

    def backlog(self) -> int:
        """Tasks that wait."""

    def ways(self) -> list[Callable[[], None]]:
        """Each puts one batch in, and writes down the answer."""


def main(argv: Sequence[str]) -> int:
    """Put batches in until told to stop."""
    from chaos.patience import until_answered

    signal.signal(signal.SIGINT, lambda number, frame: _stop.set())
    side = _side(*argv)
    ways = side.ways()
    turn = os.getpid()  # so that a producer that is killed often does not begin with the same way
    while not _stop.is_set():
        if until_answered(side.backlog) > _BACKLOG:
            time.sleep(_REST_S)
            continue
        ways[turn % len(ways)]()
        turn += 1
    return 0


def _side(side: str, name: str, seed: str) -> Side:
    if side == "plain":
        from chaos.plain_side import PlainSide

        return PlainSide(name, int(seed))
    from chaos.our_side import OurSide

    return OurSide(name, int(seed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
