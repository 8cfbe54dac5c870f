"""`./baton logs ID`: what Claude said and did in an attempt, and as it goes on with `-f`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import attempts, queue
from cli.errors import CliError
from cli.progress import Progress
from cli.stream import Stream
from cli.terminal import moment, paint, printable
from cli.transcript import lines

if TYPE_CHECKING:
    from durable.records import Record

_STDERR_LINES = 10
TONES = {"succeeded": "green", "cancelled": "dim", "interrupted": "yellow", "unknown": "yellow"}


def logs(args: argparse.Namespace) -> int:
    """Print the stream of the latest attempt or a chosen one, or what apps log; with `-f` also what follows."""
    from cli import watching

    if not args.id or watching.is_app(args.id):
        return watching.app_logs(args)
    store, var = queue.views(), queue.settings().var
    record = queue.one(store, args.id)
    printer = JsonPrinter() if args.json else Printer()
    if args.follow:
        from cli.follow import Follower

        return Follower(store, var, record, printer, args.attempt).run()
    viewer = Viewer(chosen(var, record, args.attempt), printer)
    viewer.more()
    viewer.end(record)
    return 0


def chosen(var: Path, record: Record, number: int | None) -> Path:
    """Return the folder of the attempt of this number, or of the latest. Raises CliError."""
    folders = attempts.of(var, record.id)
    if not folders:
        raise CliError(*_nothing(var, record))
    return folders[-1] if number is None else attempts.chosen(folders, record, number)


def _nothing(var: Path, record: Record) -> tuple[str, str]:
    if host := attempts.elsewhere(var, record):
        problem = f"Task {record.id} ran on another machine ({host}), which has what Claude said."
        return problem, f"Run ./baton logs {record.id[: queue.SHORT]} there."
    why = record.reason or f"it is {record.state.value} and has not run on this machine"
    remedy = (
        "" if record.state.final else f"./baton logs {record.id[: queue.SHORT]} -f waits for it."
    )
    return f"There is nothing to show of task {record.id}: {why.rstrip('.')}.", remedy


class Printer:
    """Prints for a person."""

    def __init__(self) -> None:
        self._progress = Progress()

    def begin(self, folder: Path) -> None:
        """Say which attempt follows."""
        self._progress = Progress()
        self.note(heading(folder))

    def event(self, event: Mapping[str, Any]) -> None:
        """Print what an event says, and what was used so far after each turn."""
        for line in lines(event):
            print(paint(printable(line, keep="\t"), _tone(line)), flush=True)
        if used := self._progress.news(event):
            print(paint(f"  {used}", "dim"), flush=True)
        self._progress.take(event)

    def note(self, words: str, tone: str = "bold") -> None:
        """Print a line of ours among Claude's."""
        print(paint(f"[{printable(words)}]", tone), flush=True)


class JsonPrinter(Printer):
    """Prints the events as they are, and nothing else."""

    def begin(self, folder: Path) -> None:
        """Say nothing: each event names its session."""

    def event(self, event: Mapping[str, Any]) -> None:
        """Print one event a line."""
        print(json.dumps(event, ensure_ascii=True), flush=True)

    def note(self, words: str, tone: str = "bold") -> None:
        """Say nothing."""


class Viewer:
    """Shows one attempt: its heading, each event once, and at its end what else it left."""

    def __init__(self, folder: Path, printer: Printer) -> None:
        self.folder, self.number, self.printer = folder, int(folder.name), printer
        self._stream = Stream(folder)
        printer.begin(folder)

    def more(self) -> None:
        """Show what was written since the last call."""
        for event in self._stream.news():
            self.printer.event(event)

    def end(self, record: Record | None = None) -> attempts.Attempt:
        """Show what else the attempt left, and how it ended; to be called once, after the last `more`."""
        if self._stream.cut_off_bytes:
            self.printer.note(f"the last line is cut off after {self._stream.cut_off_bytes} bytes")
        for line in _complaints(self.folder):
            self.printer.note(f"stderr: {line}")
        found = attempts.read(self.folder, record)
        if found.outcome != "running":
            self.printer.note(ending(found), TONES.get(found.outcome, "red"))
        elif not self._stream.events:
            self.printer.note("Claude has written nothing yet")
        return found


def heading(folder: Path) -> str:
    """Return the line above an attempt: its number, when it began, and whose session it goes on in."""
    begun, session = attempts.begun_s(folder), attempts.resumed(attempts.command_of(folder))
    when = f", {moment(int(begun * 1000))}" if begun else ""
    how = f", resumes session {session}" if session else ""
    return f"attempt {folder.name}{when}{how}"


def ending(found: attempts.Attempt) -> str:
    """Return the line below an attempt: how it ended, and why."""
    if found.outcome == "unknown":
        return f"attempt {found.number}: how it ended was never written; its runner is gone"
    return f"attempt {found.number} {found.outcome}{found.message and ': '}{found.message}"


def _complaints(folder: Path) -> list[str]:
    """What claude wrote beside its stream, the end of it."""
    try:
        said = (folder / "stderr.log").read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    return [line for line in said if line.strip()][-_STDERR_LINES:]


def _tone(line: str) -> str:
    return {"<": "dim", "!": "yellow", "=": "bold"}.get(line[:1], "") if line[1:2] == " " else ""
