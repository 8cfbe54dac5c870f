"""The processes of a run, started again whenever they end, as PM2 would."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_EXPECTED = (0, -signal.SIGKILL, -signal.SIGINT)
#: What Python says, with exit status 1, when a SIGINT meets it while it begins; and what only our code says.
_INTERRUPTED, _OURS = b"KeyboardInterrupt", b'"level": "INFO"'


class Member:
    """One process under one name; `away_until` (s, monotonic) keeps it down for a while."""

    def __init__(
        self, name: str, command: Sequence[str], env: Mapping[str, str], cwd: Path, log: Path
    ) -> None:
        self.name, self._command, self._env, self._cwd, self._log = name, command, env, cwd, log
        self._process: subprocess.Popen[bytes] | None = None
        self._wanted = True
        self.away_until = 0.0
        self.starts = 0
        self._said_before = 0  # bytes in the log when it was started
        self.surprises: list[int] = []

    @property
    def lives(self) -> bool:
        """Whether it runs (or is stopped) now."""
        return self._process is not None and self._process.poll() is None

    def revive(self) -> None:
        """Start it, unless it lives, is away or was dismissed."""
        if self.lives:
            return
        self._look_at_the_end()
        if not self._wanted or time.monotonic() < self.away_until:
            return
        with self._log.open("ab") as out:
            self._said_before = out.tell()
            self._process = subprocess.Popen(
                self._command,
                env=self._env,
                cwd=self._cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,  # Ctrl-C is for the harness
            )
        self.starts += 1

    def _look_at_the_end(self) -> None:
        """Nobody ends otherwise than well, after a SIGINT, or by SIGKILL: anything else is a defect."""
        # -SIGINT: it was told to stop before it had begun to listen
        ended = self._process
        if ended and ended.returncode not in _EXPECTED and not self._was_not_yet_ours():
            self.surprises.append(ended.returncode)
        self._process = None

    def _was_not_yet_ours(self) -> bool:
        """Whether it was interrupted before the first line that listens to signals."""
        said = self._log.read_bytes()[self._said_before :]
        return _INTERRUPTED in said and _OURS not in said

    def signal(self, number: int) -> bool:
        """Send it a signal; False when there is nobody to get it."""
        if not self.lives or self._process is None:
            return False
        self._process.send_signal(number)
        if number == signal.SIGKILL:
            self._process.wait()
        return True

    def dismiss(self, patience_s: float) -> bool:
        """End it for good: gently, then not. Whether it went gently."""
        self._wanted = False
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGINT)
        until = time.monotonic() + patience_s
        while self.lives and time.monotonic() < until:
            time.sleep(0.02)
        gone = not self.signal(signal.SIGKILL)
        self._look_at_the_end()
        return gone


class Crew:
    """All members, by name, in the order in which they start."""

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}

    def add(self, member: Member) -> None:
        """Start it with the next `revive`."""
        self.members[member.name] = member

    def revive(self) -> None:
        """Start whoever is not there."""
        for member in self.members.values():
            member.revive()

    def wake(self) -> None:
        """Let everybody go on who was stopped."""
        for member in self.members.values():
            member.signal(signal.SIGCONT)
            member.away_until = 0.0

    def surprises(self) -> dict[str, list[int]]:
        """Exit statuses that nobody caused, by name."""
        return {name: m.surprises for name, m in self.members.items() if m.surprises}

    def end(self) -> None:
        """Nothing is left running, whatever happened before."""
        for member in reversed(self.members.values()):
            with contextlib.suppress(OSError):
                member.dismiss(0)
