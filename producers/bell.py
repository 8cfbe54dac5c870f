"""The doorbell of a producer's loop: events, signals and timers wake it; ringing cannot fail."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import threading
from types import FrameType

#: A stop may find the loop in a call to Redis or to a slow disk. A producer may be cut anywhere, so
#: after this long it is: PM2 kills after 1.6 s.
_LAST_MOMENT_S = 0.8


class Bell:
    """Wakes one waiting loop. `ring` and `stop` may be called by any thread or signal handler."""

    def __init__(self) -> None:
        # Unlike threading.Event, SimpleQueue.put may interrupt its own get in the same thread.
        self._rings: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._stops: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._rung = False
        self.stopped = False

    def ring(self) -> None:
        """Wake the loop; many rings before it looks are one."""
        if not self._rung:
            self._rung = True
            self._rings.put(None)

    def stop(self) -> None:
        """Wake the loop for the last time."""
        self.stopped = True
        self._rings.put(None)
        self._stops.put(None)

    def wait(self, timeout_s: float) -> bool:
        """Wait for a ring, at most so long; whether one came."""
        if self.stopped:
            return True
        came = False
        with contextlib.suppress(queue.Empty):
            self._rings.get(timeout=max(0.0, timeout_s))
            came = True
        self._rung = False
        return came

    def rest(self, timeout_s: float) -> None:
        """Wait so long whoever rings; only a stop cuts it short."""
        if timeout_s > 0 and not self.stopped:
            with contextlib.suppress(queue.Empty):
                self._stops.get(timeout=timeout_s)


def stop_on_signals(bell: Bell) -> None:
    """Let SIGINT and SIGTERM stop the bell, and exit with status 0 if the loop takes too long."""

    def stop(number: int, frame: FrameType | None) -> None:
        bell.stop()
        signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
        signal.setitimer(signal.ITIMER_REAL, _LAST_MOMENT_S)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGTERM, stop)


def cancel_last_moment() -> None:
    """The loop has ended in time: no need to be cut any more."""
    signal.setitimer(signal.ITIMER_REAL, 0)
