"""`./baton logs ID -f`: a task as it goes on, from its waiting through every attempt to its end."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cli import attempts, queue
from cli.errors import redis_is_away
from cli.logs import Printer, Viewer, chosen
from cli.terminal import moment

if TYPE_CHECKING:
    from durable.records import Record
    from durable.views import Views

_LOOK_EVERY_S = 0.25
# Between two questions to Redis, s; the file is looked at more often.
_ASK_EVERY_S = 1.0
INTERRUPTED = 130  # as a shell reports SIGINT


class Follower:
    """Shows each attempt from its beginning, beginning with the latest; or only the one of `number`."""

    def __init__(
        self, store: Views, var: Path, record: Record, printer: Printer, number: int | None
    ) -> None:
        self.store, self.var, self.record = store, var, record
        self.printer, self.number = printer, number
        self._viewer: Viewer | None = None
        self._ended_as = ""  # what the attempt that is shown came to, once that was said
        self._said = ""
        self._ask_at = 0.0
        self._away = False
        if number is not None and number <= record.attempt:
            chosen(var, record, number)  # one that was and is not here will never come

    def run(self) -> int:
        """Return 0 when the task (or the attempt that was asked for) succeeded, else 1; 130 after Ctrl-C."""
        try:
            while (status := self._look()) is None:
                time.sleep(_LOOK_EVERY_S)
            return status
        except KeyboardInterrupt:
            short = self.record.id[: queue.SHORT]
            print(f"\nThe task goes on; ./baton cancel {short} stops it.", file=sys.stderr)
            return INTERRUPTED

    def _look(self) -> int | None:
        """Show what is new; the exit status once there will be nothing more."""
        final = self._ask() and self.record.state.final
        self._show()
        if self._viewer and (final or self._is_past(self._viewer)):
            self._end(self._viewer)
            if self.number is not None:
                return 0 if self._ended_as == "succeeded" else 1
        self._tell()
        return None if not final else 0 if self.record.state.value == "succeeded" else 1

    def _ask(self) -> bool:
        """Whether the record is a new one. While Redis is away, the files are followed all the same."""
        if time.monotonic() < self._ask_at:
            return False
        self._ask_at = time.monotonic() + _ASK_EVERY_S
        try:
            self.record = queue.one(self.store, self.record.id)
        except Exception as error:
            if not redis_is_away(error):
                raise
            if not self._away:
                words = (
                    f"Redis does not answer ({error}); what Claude writes is shown all the same."
                )
                print(words, file=sys.stderr, flush=True)
            self._away = True
            return False
        if self._away:
            print("Redis answers again.", file=sys.stderr, flush=True)
        self._away = False
        return True

    def _show(self) -> None:
        """Show what is new of each attempt, in their order."""
        for folder in self._folders():
            if self._viewer is None or self._viewer.folder != folder:
                if self._viewer:
                    self._end(self._viewer)
                self._viewer, self._ended_as = Viewer(folder, self.printer), ""
                self._said = ""
            self._viewer.more()

    def _is_past(self, viewer: Viewer) -> bool:
        """Whether its run is over and what it came to is written down."""
        at_it = self.record.attempt == viewer.number and self.record.state.value == "running"
        return attempts.over(viewer.folder) and self._knows(viewer) and not at_it

    def _knows(self, viewer: Viewer) -> bool:
        """Whether the record, which is asked for more rarely, has heard of this attempt."""
        return self.record.attempt >= viewer.number

    def _end(self, viewer: Viewer) -> None:
        if not self._ended_as:
            viewer.more()
            self._ended_as = viewer.end(self.record).outcome

    def _folders(self) -> list[Path]:
        found = attempts.of(self.var, self.record.id)
        if self.number is not None:
            return [folder for folder in found if int(folder.name) == self.number]
        if self._viewer is None:
            return found[-1:]
        return [folder for folder in found if int(folder.name) >= self._viewer.number]

    def _tell(self) -> None:
        """Print the task's state when it is another one than before."""
        record = self.record
        if self._viewer and not self._knows(self._viewer):
            return
        told = bool(self._ended_as and self._viewer and self._viewer.number == record.attempt)
        words = standing(record, attempts.elsewhere(self.var, record), told)
        if words and words != self._said:
            self.printer.note(words, _TONES.get(record.state.value, "bold"))
        self._said = words


_TONES = {"succeeded": "green", "failed": "red", "held": "red", "cancelled": "dim"}


def standing(record: Record, host: str, told: bool) -> str:
    """Return where a task stands; "" for one that runs here, where Claude's own words follow.

    `told`: how its latest attempt ended was said already.
    """
    found = record.state.value
    if found == "running":
        return f"running on another machine ({host}): follow it there" if host else ""
    if found == "scheduled":
        found = f"scheduled for {moment(record.due_ms)}"
    if told:
        return found
    outcome = record.outcome if record.outcome not in ("", found) else ""
    return f"{found}{outcome and f' ({outcome})'}{record.reason and ': '}{record.reason}"
