"""An app's own log: one JSON object a line, in a file that is rotated by size. How it is read is in cli/applogs.py.

The app writes it itself, not PM2, which would hold the file open in its daemon and cannot rotate it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

#: A log that has grown to this is put aside, bytes; so many of those are kept beside it.
MOST_BYTES, KEPT = 5_000_000, 4
#: What was printed past the log is looked at this often at most, s.
_LOOK_EVERY_S = 10.0
_ABOUT_A_TASK = "task %s: "


class JsonLine(logging.Formatter):
    """`{"at": "2026-11-22T21:46:03.120Z", "level", "app", "logger", "message"}`; `task`, `traceback` where known."""

    def __init__(self, app: str) -> None:
        super().__init__()
        self._app = app

    def format(self, record: logging.LogRecord) -> str:
        """One line without its end; whatever the message holds is escaped by JSON."""
        entry = {
            "at": stamp(record.created),
            "level": record.levelname,
            "app": self._app,
            "logger": record.name,
            "message": record.getMessage(),
        }
        # The templates of all messages about a task begin so; the message itself is never searched.
        if isinstance(record.msg, str) and record.msg.startswith(_ABOUT_A_TASK) and record.args:
            entry["task"] = str(record.args[0] if isinstance(record.args, tuple) else "")
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry)


def stamp(seconds: float) -> str:
    """A moment in UTC with milliseconds."""
    return f"{_second(int(seconds))}.{int(seconds * 1000) % 1000:03d}Z"


@lru_cache(maxsize=8)  # a burst writes a thousand lines in each
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


class LogFile(logging.Handler):
    """Appends each record in one write, so that a kill tears no line and copies of an app may share the file.

    A disk that is full costs lines, never the app: how many is said as soon as one can be written again.
    """

    def __init__(
        self, path: Path, app: str, most_bytes: int = MOST_BYTES, kept: int = KEPT
    ) -> None:
        super().__init__()
        self.path, self._app = path, app
        self._most, self._kept = most_bytes, kept
        self._fd, self._inode = -1, (0, 0)
        self._size, self._lost, self._torn = 0, 0, False
        self._look_at = 0.0
        self.setFormatter(JsonLine(app))

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line. What cannot be written is counted: the app has better things to do than to fail here."""
        try:
            line = self.format(record)
        except Exception as error:  # noqa: BLE001  # a message and arguments that do not fit; any __str__ of a task's
            line = self._own(f"{record.msg!r}: {error!r}")
        try:
            self._open()
            if self._lost:
                self._write(self._own(f"{self._lost} lines before this one could not be written"))
                self._lost = 0
            self._write(line)
        except OSError:
            self._lost += 1
            return
        with contextlib.suppress(
            OSError
        ):  # the line is there; the next one tries to make room again
            self._tidy()

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        super().close()

    def _own(self, words: str) -> str:
        record = logging.LogRecord(__name__, logging.WARNING, "", 0, "%s", (words,), None)
        return self.format(record)

    def _open(self) -> None:
        """Open the file, or the new one in its place: another copy of the app, or a person, has put it aside."""
        if self._fd >= 0:
            with contextlib.suppress(FileNotFoundError):
                facts = os.stat(self.path)
                if (facts.st_dev, facts.st_ino) == self._inode:
                    self._size = facts.st_size
                    return
            os.close(self._fd)
            self._fd = -1
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._fd = os.open(self.path, flags, 0o600)
        facts = os.fstat(self._fd)
        self._inode, self._size = (facts.st_dev, facts.st_ino), facts.st_size
        self._torn = bool(self._size) and os.pread(self._fd, 1, self._size - 1) != b"\n"

    def _write(self, line: str) -> None:
        text = line.encode() + b"\n"
        if self._torn:  # half a line of a full disk, or of a machine that lost its power
            text = b"\n" + text
        written = os.write(self._fd, text)
        self._torn = written < len(text)
        self._size += written
        if self._torn:
            raise OSError("the disk took only a part of the line")

    def _tidy(self) -> None:
        if self._size >= self._most:
            rotate(self.path, self._most, self._kept)
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _LOOK_EVERY_S
            shorten(beside(self.path), self._most)


def beside(path: Path) -> Path:
    """What an app and its children print past the log: `<app>.out` beside `<app>.log`."""
    return path.with_suffix(".out")


def rotate(path: Path, most_bytes: int = MOST_BYTES, kept: int = KEPT) -> bool:
    """Rename a log that has grown to `most_bytes` to `.1`, the older ones on; True when that was done.

    For a log whose writers look at its name before each line, as ours and Valkey do. Raises OSError.
    """
    if _size(path) < most_bytes:
        return False
    with _alone(path.parent) as mine:
        if not mine or _size(path) < most_bytes:  # somebody else may have been quicker
            return False
        for number in range(kept - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{path}.{number}", f"{path}.{number + 1}")
        os.replace(path, f"{path}.1")
        return True


def shorten(path: Path, most_bytes: int = MOST_BYTES) -> bool:
    """Empty a file that others hold open for appending, after a copy to `.1`; True when that was done.

    Lines that are written between the two steps are lost; a log of ours is rotated instead. Raises OSError.
    """
    if _size(path) < most_bytes:
        return False
    with _alone(path.parent) as mine:
        if not mine or _size(path) < most_bytes:
            return False
        with contextlib.suppress(OSError):  # a full disk: better no copy than no room
            shutil.copyfile(path, f"{path}.1")
        os.truncate(path, 0)
        return True


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Whether nobody else rotates in this folder now; who does is not waited for."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        mine = True
    except OSError:  # somebody else does; or a file system without locks
        mine = False
    try:
        yield mine
    finally:
        os.close(fd)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
