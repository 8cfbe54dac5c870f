"""A program as a source: it prints one JSON object a line, each with an `id`, and exits with 0."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from producers.sources import Fetched, Item, SourceError, Stopped
from producers.sources.guard import guarded, signal_group

#: What a program may print before it counts as run wild, bytes.
OUTPUT_LIMIT = 20 << 20
_ERROR_KEPT = 64 << 10  # of what it says on standard error, the end
_LOOK_S = 0.1  # how often a stop or the time limit is looked at
_GRACE_S = 0.5  # between SIGTERM and SIGKILL: a stop of the poller has less than a second
_ALWAYS = ("HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG", "TZ")


def environment(environ: Mapping[str, str], named: Iterable[str] = ()) -> dict[str, str]:
    """What the program sees: the usual, and the variables that the entry's `env` names."""
    wanted = {*_ALWAYS, *named}
    return {k: v for k, v in environ.items() if k in wanted or k.startswith("LC_")}


class Command:
    """Runs the program in a group of its own, with a time limit and a size limit, one at a time.

    `lock` names the file that says so to other processes which run the same one.
    """

    def __init__(
        self, argv: Sequence[str], timeout_s: float, cwd: Path, env: Mapping[str, str], lock: Path
    ) -> None:
        self.argv, self.timeout_s, self.cwd, self.env = list(argv), timeout_s, cwd, dict(env)
        self.lock = lock

    def fetch(self, place: str, stopped: Callable[[], bool]) -> Fetched:
        """Run it once. BATON_CURSOR is what its last `{"cursor": "…"}` line said, if it printed one."""
        limit = Limit(self.timeout_s, stopped)
        try:
            with guarded(self.lock, lambda: limit.check("its last run is not over")) as group:
                process = self._start(place, group)
                try:
                    out, err = _Reader(process, limit).read()
                finally:
                    _end(process, group)
        except OSError as error:
            raise SourceError(f"{self._name} cannot be run: {error.strerror or error}") from error
        if process.returncode:
            raise SourceError(f"{self._name} {_ending(process.returncode)}{_last_words(err)}")
        return replace(parse(out, place), again=place)

    @property
    def _name(self) -> str:
        return os.path.basename(self.argv[0])

    def _start(self, place: str, group: int) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                self.argv,
                cwd=self.cwd,
                env={**self.env, "BATON_CURSOR": place},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                process_group=group,
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise SourceError(f"{self.argv[0]} cannot be started: {reason}") from error


class Limit:
    """How long a run may take, a wait for an earlier one included, and whether it is to stop."""

    def __init__(self, timeout_s: float, stopped: Callable[[], bool]) -> None:
        self.timeout_s, self.stopped = timeout_s, stopped
        self.deadline = time.monotonic() + timeout_s

    def check(self, late: str = "not done") -> None:
        """Raises Stopped and, with what is `late`, SourceError."""
        if self.stopped():
            raise Stopped
        if time.monotonic() > self.deadline:
            raise SourceError(f"{late} after {self.timeout_s:g} s (`timeout:`)")


class _Reader:
    """Reads both outputs of a program until it has ended, within the limits."""

    def __init__(self, process: subprocess.Popen[bytes], limit: Limit) -> None:
        self.process, self._check = process, limit.check
        self.out, self.err = bytearray(), bytearray()

    def read(self) -> tuple[bytes, bytes]:
        """Standard output and the end of standard error. Raises SourceError and Stopped."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ, self._take_out)
            selector.register(self.process.stderr, selectors.EVENT_READ, self._take_err)
            while selector.get_map():
                self._check()
                for key, _ in selector.select(_LOOK_S):
                    self._read_some(selector, key)
        self._wait()
        return bytes(self.out), bytes(self.err)

    def _read_some(self, selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        data = os.read(key.fd, 1 << 16)
        if data:
            key.data(data)
        else:
            selector.unregister(key.fileobj)

    def _take_out(self, data: bytes) -> None:
        self.out += data
        if len(self.out) > OUTPUT_LIMIT:
            raise SourceError(f"printed more than {OUTPUT_LIMIT >> 20} MB")

    def _take_err(self, data: bytes) -> None:
        self.err += data
        del self.err[:-_ERROR_KEPT]

    def _wait(self) -> None:
        pause_s = 0.001
        while self.process.poll() is None:
            self._check()
            time.sleep(pause_s)
            pause_s = min(_LOOK_S, pause_s * 2)


def _end(process: subprocess.Popen[bytes], group: int) -> None:
    """Leave nothing of the program's group behind, also of one that ended well."""
    if process.poll() is None:
        _signal(process, group, signal.SIGTERM)
        until = time.monotonic() + _GRACE_S
        while process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
    _signal(process, group, signal.SIGKILL)
    process.wait()
    for stream in (process.stdout, process.stderr):
        if stream:
            stream.close()


def _signal(process: subprocess.Popen[bytes], group: int, number: signal.Signals) -> None:
    """To the group, and to a program that has left it for a session or a group of its own."""
    signal_group(group, number)
    if process.poll() is None:  # not waited for, so the number is still its own
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(process.pid) == process.pid:
                os.killpg(process.pid, number)
            else:
                os.kill(process.pid, number)


def _ending(returncode: int) -> str:
    if returncode < 0:
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(-returncode).name}"
    return f"exited with {returncode}"


def _last_words(err: bytes) -> str:
    lines = err.decode("utf-8", "replace").strip().splitlines()
    return f": {lines[-1][:300]}" if lines else ""


def parse(out: bytes, place: str = "") -> Fetched:
    """The items of an output. One line that is none makes the whole output one to refuse.

    Raises SourceError, which names the line.
    """
    items = []
    for number, line in enumerate(out.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            data = _object(line)
            if set(data) == {"cursor"} and isinstance(data["cursor"], str):
                place = data["cursor"]
            else:
                items.append(Item(_id(data), data))
        except (ValueError, RecursionError) as error:
            raise SourceError(f"line {number} {error}: {_excerpt(line)}") from error
    return Fetched(tuple(items), place)


def _object(line: bytes) -> dict[str, Any]:
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise ValueError("is no UTF-8") from None
    try:
        data = json.loads(text, parse_constant=refuse_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"is no JSON ({error.msg} at character {error.colno})") from None
    if not isinstance(data, dict):
        raise ValueError("is no JSON object")
    return data


def refuse_constant(word: str) -> None:
    """NaN and its like, which Python's json takes and no other reader does. Raises ValueError."""
    raise ValueError(f"holds {word}, which is no JSON")


def _id(data: Mapping[str, Any]) -> str:
    found = data.get("id")
    if isinstance(found, bool) or not isinstance(found, str | int | float) or found == "":
        raise ValueError("has no `id` that is text or a number")
    return str(found).encode("utf-8", "backslashreplace").decode()  # half a character is no key


def _excerpt(line: bytes) -> str:
    return ascii(line[:80].decode("utf-8", "replace"))


__all__ = ["OUTPUT_LIMIT", "Command", "environment", "parse", "refuse_constant"]
