"""A limit of time for all that a block does, also where it waits for one byte after the other.

A socket's own timeout begins anew with each byte, so a server that drips its headers, or a compressed body
that unpacks to nothing, may hold a reader for days. SIGALRM ends any of these waits.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class OutOfTimeError(Exception):
    """The time is over; what the block was at was left where it stood."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise OutOfTimeError in the block after so many seconds. In the main thread only; elsewhere no limit.

    A stop that comes meanwhile takes the signal for its own last moment (bell.py), and is left to it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        raise OutOfTimeError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(
        signal.ITIMER_REAL, seconds, 1.0
    )  # again, should a destructor swallow the first
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGALRM) is ring:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
