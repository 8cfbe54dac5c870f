"""One claude and everything below it, watched until none of it is left.

Holds the deadline, the ladder of signals, and the clearing at the end; the limits of time are those of
limits.py. Starting claude and writing down how it ended is the runner's part.
"""

from __future__ import annotations

import os
import select
import time

from consumers import processes
from consumers.control import Control
from consumers.light import signal
from consumers.limits import Limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LOOK_S = 1.0
"""The longest sleep: the stream's growth is looked at, and a deadline that passed while the
machine was suspended is noticed, within this time."""

NORMAL_GRACE_S = 0.5
"""What a leftover gets between SIGTERM and SIGKILL when claude ended by itself."""

KILL_EVERY_S = 0.02
GIVE_UP_S = 30.0
"""Only what SIGKILL cannot end (another user's process, a hung disk) lives that long."""

READ = 65_536
"""Bytes of the stream that are in memory at a time."""

# Where there is no CLOCK_BOOTTIME (macOS), CLOCK_MONOTONIC counts on through sleep as well. That is not what
# time.monotonic reads there.
BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_s() -> float:
    """Seconds since boot, time in suspend included: leases go on while a laptop sleeps."""
    return time.clock_gettime(BOOT_CLOCK)


class Supervision:
    """The state of one run. `command` is the content of command.json; see runner."""

    def __init__(self, command: dict[str, Any]) -> None:
        self.command = command
        self.token = int(command["token"])
        self.deadline: float = command.get("deadline_at") or boot_s() + command["deadline_s"]
        self.stopped: str | None = None
        self.claude = 0
        self.status: int | None = None
        self.killed: set[int] = set()
        self._children = True
        self._rung = 0
        self._rung_due = 0.0
        self.limits = Limits(command, time.monotonic())
        self._position = 0
        self._wake, self._poll = _catch_signals(self), select.poll()
        self._poll.register(self._wake, select.POLLIN)
        self._watched = {self._wake}
        self.control = Control(command["socket"], self.obey)

    def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carry out a consumer's order if it comes with the highest token seen so far."""
        token, error = order.get("token"), None
        if not isinstance(token, int) or isinstance(token, bool):
            error = "an order needs a token, a whole number"
        elif token < self.token:
            error = f"token {token} is older than {self.token}"
        elif not isinstance(order.get("until"), int | float | None):
            error = "until is seconds on CLOCK_BOOTTIME"
        elif order.get("cmd") == "hold" and boot_s() >= self.deadline:
            self.stop("deadline")  # a word that comes late must not revive what was given up
            error = "the deadline is over"
        elif order.get("cmd") == "hold":
            self.token, self.deadline = token, self._moved(order.get("until"))
        elif order.get("cmd") == "stop":
            self.token = token
            self.stop(str(order.get("reason") or "shutdown")[:32])
        else:
            error = "cmd is hold or stop"
        answer = {"ok": error is None, "error": error, "pid": os.getpid()}
        return answer | {"token": self.token, "stopped": self.stopped}

    def _moved(self, until: float | None) -> float:
        """The new deadline. A point in time that somebody names never brings it forward."""
        return max(self.deadline, until) if until else boot_s() + self.command["deadline_s"]

    def is_over(self) -> bool:
        """Whether the deadline has passed before anything was started; that is then the reason."""
        if boot_s() >= self.deadline:
            self.stop("deadline")
        return self.stopped is not None

    def stop(self, reason: str) -> None:
        """Begin the ladder. The first reason stands; later ones change nothing."""
        if self.stopped is None and self.status is None:
            self.stopped = reason

    def watch(self, claude: int, stream: int) -> None:
        """Return when claude has ended, by itself or by the ladder; `stream` is its output, to be read."""
        self.claude = claude
        while self.status is None:
            self._read(stream)
            self._check_limits()
            self._climb()
            self._wait(self._next_due())

    def clear(self) -> list[int]:
        """End what claude left running. Returns the pids that even SIGKILL did not end.

        SIGTERM first, for those that tidy up; then SIGKILL to every process group found, again and
        again: a group dies at once, so a process that forks faster than we look is caught too.
        """
        if not self._any_left():
            self._sweep_marked(time.monotonic() + GIVE_UP_S)
            return []
        grace_s = self.command["ladder_s"][2]
        until = time.monotonic() + (grace_s if self.stopped else min(grace_s, NORMAL_GRACE_S))
        for process in self._left():
            self.killed.add(process.pid)
            processes.send(process.pid, signal.SIGTERM)
            processes.send(process.pid, signal.SIGCONT)
        while self._any_left() and time.monotonic() < until:
            self._wait(until - time.monotonic())
        until = time.monotonic() + GIVE_UP_S
        while self._any_left() and time.monotonic() < until:
            self._kill_groups()
            self._wait(KILL_EVERY_S)
        self._sweep_marked(until)
        return [process.pid for process in self._left()] if self._any_left() else []

    def _read(self, stream: int) -> None:
        while data := os.pread(stream, READ, self._position):
            self._position += len(data)
            self.limits.heard(data, time.monotonic())

    def _check_limits(self) -> None:
        if boot_s() >= self.deadline:
            self.stop("deadline")
        elif self.stopped is None and (reason := self.limits.reached(time.monotonic())):
            self.stop(reason)

    def _climb(self) -> None:
        """SIGINT (claude writes its session and its result), SIGTERM, then SIGKILL."""
        if self.stopped is None or time.monotonic() < self._rung_due:
            return
        number = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)[self._rung]
        processes.send(self.claude, number)
        processes.send(self.claude, signal.SIGCONT)  # a stopped process hears nothing else
        self._rung_due = time.monotonic() + self.command["ladder_s"][self._rung]
        self._rung = min(self._rung + 1, 2)

    def _next_due(self) -> float:
        now = time.monotonic()
        due = (self._rung_due if self.stopped else self.limits.next_at()) - now
        return min(due, self.deadline - boot_s() if not self.stopped else due, LOOK_S)

    def _wait(self, at_most_s: float) -> None:
        """Sleep until a child ends, an order or a signal comes, or the time is over."""
        wanted = {self._wake, *self.control.files()}
        for file in wanted - self._watched:
            self._poll.register(file, select.POLLIN)
        for file in self._watched - wanted:
            self._poll.unregister(file)
        self._watched = wanted
        for file, _ in self._poll.poll(max(0.0, at_most_s * 1000 + 1)):
            if file == self._wake:
                os.read(file, 4096)
            else:
                self.control.serve(file)
        self._reap()

    def _reap(self) -> None:
        while self._children:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self._children = False
                return
            if pid == 0:
                return
            if pid == self.claude:
                self.status = status

    def _any_left(self) -> bool:
        """Linux: every orphan below us becomes our child, so no child means nobody at all."""
        self._reap()
        return self._children or (not processes.LINUX and bool(self._left()))

    def _left(self) -> list[processes.Process]:
        return [process for process in processes.descendants(os.getpid()) if not process.dead]

    def _kill_groups(self) -> None:
        """Below us every group is claude's own: it began a session, and groups never leave one.

        A zombie's group counts too: of a process that forks and exits without pause, a look at the
        table finds mostly the zombies.
        """
        below = processes.descendants(os.getpid())
        for group in {process.group for process in below} - {os.getpgrp()}:
            processes.kill_group(group)
        for process in below:
            if not process.dead:
                self.killed.add(process.pid)
                processes.send(process.pid, signal.SIGKILL)

    def _sweep_marked(self, until: float) -> None:
        """Those that left the tree (handed to a service manager, say) but kept the environment."""
        marker = self.command["marker"]
        if found := processes.marked(marker):
            self.killed.update(found)
            processes.sweep(lambda: processes.marked(marker), until)


def _catch_signals(supervision: Supervision) -> int:
    """Let every signal wake the loop; SIGTERM also begins the ladder.

    SIGINT and SIGHUP get a handler that does nothing, because claude would inherit SIG_IGN.
    """
    read_end, write_end = os.pipe()
    for end in (read_end, write_end):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: supervision.stop("shutdown"))
    return read_end
