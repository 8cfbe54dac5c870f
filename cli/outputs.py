"""Where the words of an app go: its log, and what it prints past that. How a line looks is in durable/logfile.py."""

from __future__ import annotations

import atexit
import io
import logging
import os
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from cli.applogs import rendered_line
from durable.logfile import JsonLine, LogFile, beside

log = logging.getLogger(__name__)


def log_as(app: str, path: Path | None = None) -> None:
    """Log into the file; without one to standard error, as text when that is a terminal."""
    handler: logging.Handler = LogFile(path, app) if path else logging.StreamHandler()
    if path is None:
        handler.setFormatter(_ForPeople(app) if sys.stderr.isatty() else JsonLine(app))
    # What no line shows is not looked up: 40 % of the cost of a line (logging's own HOWTO names these).
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


class _ForPeople(JsonLine):
    def format(self, record: logging.LogRecord) -> str:
        return rendered_line(super().format(record))


def print_past(path: Path) -> None:
    """From now on what this process prints goes into its log, what others below it print into `<app>.out`.

    So nothing is left of PM2's pipes: a daemon that stands still would block a print in the middle of a task,
    one that was killed would make it fail.
    """
    past, trouble = _opened(beside(path))
    for number in (1, 2):
        os.dup2(past, number)
    os.close(past)
    sys.stdout = Words(logging.getLogger("stdout"), logging.INFO, sys.__stdout__)
    sys.stderr = Words(logging.getLogger("stderr"), logging.WARNING, sys.__stderr__)
    for stream in (sys.stdout, sys.stderr):
        atexit.register(stream.write, "\n")  # the end of a line that nobody ended
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    if trouble:
        log.warning("what is printed past the log is lost until the next start: %s", trouble)


def _opened(file: Path) -> tuple[int, OSError | None]:
    """The file, or nothing at all where it cannot be had: a log is no reason for an app not to run."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), None
    except OSError as error:
        return os.open(os.devnull, os.O_WRONLY), error


class Words(io.TextIOBase):
    """A text stream whose lines are records of the log; its descriptor is the one below it, for children."""

    def __init__(self, into: logging.Logger, level: int, below: object) -> None:
        self._log, self._level, self._below = into, level, below
        self._begun = (
            threading.local()
        )  # `print("a", "b")` writes four times, maybe beside another thread

    def write(self, text: str) -> int:
        """Log each line that is complete."""
        *lines, self._begun.words = (getattr(self._begun, "words", "") + text).split("\n")
        for line in lines:
            if line.strip():
                self._log.log(self._level, "%s", line)
        return len(text)

    def flush(self) -> None:
        """Do nothing: a line is logged when it ends."""

    def writable(self) -> bool:
        """Whether it can be written to."""
        return True

    def fileno(self) -> int:
        """The descriptor of the stream below, which a child may be given."""
        return int(self._below.fileno())  # type: ignore[attr-defined]

    @property
    def buffer(self) -> BinaryIO:
        """For bytes, which go past the log."""
        return self._below.buffer  # type: ignore[attr-defined,no-any-return]

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Of what is printed."""
        return "utf-8"


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    log.error("an error that nobody caught", exc_info=(kind, error, trace))


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is SystemExit or args.exc_value is None:
        return
    facts = (args.exc_type, args.exc_value, args.exc_traceback)
    name = args.thread.name if args.thread else "?"
    log.error("an error that nobody caught, in the thread %s", name, exc_info=facts)
