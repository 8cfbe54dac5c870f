"""A site that is brought up by the command line, under a PM2 of its own, with the real Claude Code."""

from __future__ import annotations

import contextlib
import os
import signal

from durable.records import State
from tests.acceptance.claude_site import ClaudeSite, marked
from tests.acceptance.pm2_site import Pm2Site
from tests.conftest import wait_until


class ClaudePm2Site(ClaudeSite, Pm2Site):
    """Adds what tests do to the apps of a whole instance."""

    def baton(self, *words: str) -> str:
        """What a verb prints; it must succeed."""
        status, out, errors = self.call(*words)
        assert status == 0, out + errors
        return out

    def pid(self, app: str) -> int:
        """The pid of a ready app."""
        wait_until(lambda: self.ready(app), what=f"{app} is ready")
        return self.ready(app) or 0

    def kill_app(self, app: str) -> None:
        """SIGKILL; returns when PM2 has started it again."""
        first = self.pid(app)
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: self.ready(app) not in (None, first), what=f"{app} is up again")

    def cut_the_power(self) -> None:
        """SIGKILL to all at once: PM2, the apps, the server, runners and claude.

        They are frozen before, so that nobody reacts to another's end or forks while the list is made.
        """
        self._all(signal.SIGSTOP)
        self._all(signal.SIGKILL)
        wait_until(lambda: not self._everything(), what="all are gone")

    def _everything(self) -> set[int]:
        ours = {*self.left(), *marked(f"HOME={self.folder}")}
        daemon = {self.pm2.daemon_pid()} if self.pm2.daemon_runs() else set()
        return (ours | daemon) - {0}  # which would be everybody here

    def _all(self, number: int) -> None:
        for pid in self._everything():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def done_by(self, source: str) -> int:
        """How many tasks of a source have succeeded, of the latest 500."""
        return sum(r.source == source for r in self.store.page(State.SUCCEEDED, 500))
