"""What apps log, for people: lines of `var/logs` read, merged by their time, rendered and followed."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from cli.terminal import paint, printable
from durable.logfile import stamp

#: From the end of each file so much is looked at, bytes.
_TAIL_BYTES = 262_144
# More files than are ever put aside.
_MOST_FILES = 100
# "1234:M 23 Nov 2026 07:05:28.123 * Ready to accept connections": Valkey and Redis, in local time.
_SERVER = re.compile(rb"\d+:[A-Z] (\d\d \w{3} \d{4} \d\d:\d\d:\d\d)\.(\d{3}) ([-.*#]) (.*)")
_LEVELS = {b".": "DEBUG", b"-": "INFO", b"*": "INFO", b"#": "WARNING"}
_TONES = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}

Entry = dict[str, Any]


class Source(NamedTuple):
    """One file of an app."""

    app: str
    path: Path


def sources(var: Path, app: str = "*") -> list[Source]:
    """Return the files of an app, of all apps without a name: its log, its server's, and what was printed past it."""
    folder = var / "logs"
    found = [path for end in ("log", "server.log", "out") for path in folder.glob(f"{app}.{end}")]
    return [Source(_app(path), path) for path in sorted(set(found))]


def _app(path: Path) -> str:
    return re.sub(r"(\.server)?\.(log|out)$", "", path.name)


def parse(line: bytes, app: str) -> Entry:
    """Return a line of a log as an entry; of one that is no JSON object the words, and the time where it has one."""
    try:
        found = json.loads(line)
        if isinstance(found, dict) and isinstance(found.get("at"), str) and "message" in found:
            return found
    except (ValueError, RecursionError):
        pass
    if server := _SERVER.fullmatch(line.rstrip(b"\r")):
        return {
            "at": _utc(server[1].decode("ascii", "replace"), server[2].decode()),
            "level": _LEVELS[server[3]],
            "app": app,
            "logger": "server",
            "message": server[4].decode("utf-8", "replace"),
        }
    words = line.decode("utf-8", "replace").rstrip("\r")
    return {"at": "", "level": "", "app": app, "logger": "", "message": words}


def _utc(local: str, ms: str) -> str:
    try:
        seconds = time.mktime(time.strptime(local, "%d %b %Y %H:%M:%S"))
    except ValueError:
        return ""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{ms}Z"


def rendered(entry: Entry) -> str:
    """Return an entry as text, its time in the machine's zone: `2026-11-22 21:46:03.120 INFO app: words`."""
    head = " ".join(filter(None, (_local(str(entry["at"])), str(entry.get("level", "")))))
    app = printable(str(entry.get("app", "")))
    words = printable(str(entry.get("message", "")))
    trace = str(entry.get("traceback", "")).splitlines()
    first = f"{head} {app}: {words}" if head else f"{app}: {words}"
    return "\n".join((first, *("  " + printable(line) for line in trace)))


def rendered_line(line: str) -> str:
    """Return a line of a log as text."""
    return rendered(parse(line.encode(), ""))


def in_colour(entry: Entry) -> str:
    """Return an entry as text, in the tone of its level."""
    return paint(rendered(entry), _TONES.get(str(entry.get("level", "")), ""))


def _local(at: str) -> str:
    """`2026-11-22T21:46:03.120Z` on the machine's clock; whatever is no such text stays out of the line."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{3})?Z", at)
    if found is None:
        return ""
    import calendar

    seconds = calendar.timegm(time.strptime(found[1], "%Y-%m-%dT%H:%M:%S"))
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) + (found[2] or "")


def tail(source: Source, end: int | None = None) -> list[Entry]:
    """Return the last entries of a file (before `end`, bytes), and of the one before it where it is short."""
    lines: list[bytes] = []
    for path, last in ((source.path, end), (Path(f"{source.path}.1"), None)):
        lines = _last_lines(path, _TAIL_BYTES, last) + lines
        if sum(map(len, lines)) > _TAIL_BYTES // 2:
            break
    return _dated([parse(line, source.app) for line in lines])


def _dated(entries: list[Entry]) -> list[Entry]:
    """A line without a time belongs to the one before it, so it is shown after that."""
    at = ""
    for entry in entries:
        at = entry["at"] = entry["at"] or at
    return entries


def _last_lines(path: Path, most: int, end: int | None = None) -> list[bytes]:
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size if end is None else end
            most = min(most, size)
            if size > most:
                file.seek(size - most - 1)
                file.readline()  # the rest of a line that began before, or only the end of that line
            return [line for line in file.read(size - file.tell()).split(b"\n") if line.strip()]
    except OSError:
        return []


def merged(found: Iterable[list[Entry]], count: int) -> list[Entry]:
    """Return the last `count` entries of several files, by their time; those of one file stay in its order."""
    every = [entry for entries in found for entry in entries]
    return sorted(every, key=lambda entry: str(entry["at"]))[-count:]


class Reader:
    """Gives what is appended to a file, through every rotation of it; `start` is where it begins, bytes."""

    def __init__(self, source: Source, start: int = 0) -> None:
        self.source = source
        self._file = _opened(source.path)
        self._begun = b""
        if self._file:
            self._file.seek(start)

    def news(self) -> Iterator[Entry]:
        """Entries since the last call; a line that has no end yet is kept for the next one."""
        yield from self._rest()
        for path in self._newer():
            yield from self._rest()  # written before it was put aside, and after the look at it
            file = _opened(path)
            if file is None:  # put aside in this very moment: the next call finds it
                return
            if self._file:
                self._file.close()
            self._file, self._begun = file, b""
            yield from self._rest()

    def _newer(self) -> list[Path]:
        """The files that were begun after the one that is open here, the oldest first."""
        numbered = [Path(f"{self.source.path}.{n}") for n in range(1, _MOST_FILES)]
        newest_first = [path for path in (self.source.path, *numbered) if path.exists()]
        if self._file is None:
            return [self.source.path] if self.source.path in newest_first else []
        had = [n for n, path in enumerate(newest_first) if self._is_open(path)]
        return newest_first[: had[0] if had else 1][::-1]

    def _rest(self) -> Iterator[Entry]:
        if self._file is None:
            return
        if os.fstat(self._file.fileno()).st_size < self._file.tell():  # emptied
            self._file.seek(0)
        *lines, self._begun = (self._begun + self._file.read()).split(b"\n")
        yield from (parse(line, self.source.app) for line in lines if line.strip())

    def _is_open(self, path: Path) -> bool:
        try:
            now = path.stat()
        except OSError:
            return False
        had = os.fstat(self._file.fileno())
        return (had.st_dev, had.st_ino) == (now.st_dev, now.st_ino)


def _opened(path: Path) -> Any:
    try:
        return path.open("rb")
    except OSError:
        return None


def since(log: Path, before: dict[Path, int], count: int) -> tuple[str, ...]:
    """Return the last lines of an app's log and of what it printed past it, after so many bytes of each file."""
    found = []
    for path in (log, log.with_suffix(".out")):
        size = sizes([path])[path]
        start = before.get(path, 0)
        lines = _last_lines(path, min(16_384, size - start if start <= size else size))
        found.append(_dated([parse(line, _app(path)) for line in lines]))
    lines_ = "\n".join(map(rendered, merged(found, count))).splitlines()
    return tuple(lines_[-count:])


def sizes(paths: Iterable[Path]) -> dict[Path, int]:
    """Return how long each file is, bytes; 0 for one that is not there."""
    return {path: path.stat().st_size if path.exists() else 0 for path in paths}


def last_complaint(log: Path, since_ms: int) -> str:
    """Return the last ERROR that an app has logged since a moment, or the last line that it printed; "" for neither."""
    since_at = stamp(since_ms / 1000)
    for entry in reversed(tail(Source(_app(log), log))):
        if entry["at"] < since_at:
            break
        if entry.get("level") in ("ERROR", "CRITICAL"):
            trace = str(entry.get("traceback", "")).splitlines()
            return f"{entry['message']}{': ' + trace[-1] if trace else ''}"
    past = log.with_suffix(".out")
    lines = _last_lines(past, 16_384)
    fresh = lines and past.stat().st_mtime * 1000 >= since_ms
    return lines[-1].decode("utf-8", "replace") if fresh else ""
