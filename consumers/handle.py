"""A consumer's hold on a runner: start one, find a live one again, give it orders, see it end.

The attempt's folder is all they share: its lock says whether the runner lives, its exit.json how
the run ended. Nothing is concluded from a pid.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from consumers import processes
from consumers.ending import Exit
from consumers.run import remove_tree

RUNNER = Path(__file__).with_name("runner.py")
ANSWER_WITHIN_S = 2.0
STARTING_LOOK_S = 0.01
SWEEP_WITHIN_S = 10.0
TAIL_BYTES = 4_096


class Handle:
    """One runner, of our own making or attached to. Not for several threads at once."""

    def __init__(
        self, folder: Path, command: dict[str, Any], process: subprocess.Popen[bytes] | None = None
    ) -> None:
        self.folder = folder
        self.token = int(command["token"])
        self.program = Path(command["argv"][0])
        self._socket_path = str(command["socket"])
        self._process = process
        self._connection: socket.socket | None = None
        self._exit: Exit | None = None

    @property
    def pid(self) -> int | None:
        """The runner's process, for people to read; None before an attached one has said it."""
        if self._process is not None:
            return self._process.pid
        try:
            return int(json.loads((self.folder / "runner.json").read_text())["pid"])
        except (OSError, ValueError, KeyError):
            return None

    def hold(self, token: int, until: float | None = None) -> bool:
        """Move the runner's deadline on; False when it did not hear or did not obey.

        `until` is on CLOCK_BOOTTIME: a word that is late, since its sender was stopped, moves nothing. Without it
        the deadline is as many seconds from now as command.json says.
        """
        return self._order({"token": token, "cmd": "hold", "until": until})

    def stop(self, token: int, reason: str) -> bool:
        """Let the runner go down the ladder; False when it did not hear or did not obey."""
        return self._order({"token": token, "cmd": "stop", "reason": reason})

    def poll(self) -> Exit | None:
        """How the run ended, or None while its runner lives."""
        if self._exit is None and self._gone():
            self._close()
            self._exit = exit_of(self.folder) or _bury(self.folder)
        return self._exit

    def wait(self, timeout_s: float) -> Exit | None:
        """Like poll, but returns at once when the runner ends within `timeout_s`."""
        until = time.monotonic() + timeout_s
        while (ended := self.poll()) is None and (left := until - time.monotonic()) > 0:
            if self._connect():
                self._until_closed(left)
            else:  # it starts or ends at this moment
                time.sleep(min(left, STARTING_LOOK_S))
        return ended

    def _gone(self) -> bool:
        if self._process is not None:
            return self._process.poll() is not None
        with _lock(self.folder, wait_s=0) as locked:
            return locked

    def _order(self, order: dict[str, Any]) -> bool:
        until = time.monotonic() + ANSWER_WITHIN_S
        while not self._connect():  # a runner that was just started listens in a moment
            if self._gone() or time.monotonic() > until:
                return False
            time.sleep(STARTING_LOOK_S)
        answer = self._exchange(json.dumps(order).encode() + b"\n")
        return bool(answer.get("ok"))

    def _exchange(self, line: bytes) -> dict[str, Any]:
        """The answer, or an empty one; a connection that gave none is not used again."""
        assert self._connection is not None
        received = b""
        try:
            self._connection.sendall(line)
            while not received.endswith(b"\n"):
                if not (more := self._connection.recv(65_536)):
                    raise ConnectionError("the runner ended")
                received += more
            answer = json.loads(received)
        except (OSError, ValueError):
            self._close()
            return {}
        return answer if isinstance(answer, dict) else {}

    def _connect(self) -> bool:
        if self._connection is not None:
            return True
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(ANSWER_WITHIN_S)
        try:
            connection.connect(self._socket_path)
        except OSError:
            connection.close()
            return False
        self._connection = connection
        return True

    def _until_closed(self, timeout_s: float) -> None:
        """The runner's end closes its connections; nothing else makes them readable."""
        assert self._connection is not None
        if not select.select([self._connection], [], [], timeout_s)[0]:
            return
        self._close()
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(ANSWER_WITHIN_S)

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def launch(folder: Path, command: dict[str, Any], prompt: str) -> Handle:
    """Write command.json and prompt.md into a new attempt's folder and start its runner.

    `command` as the runner reads it, but with `env` a mapping: its values go to the runner by its
    own environment and to claude, never into a file. Raises OSError.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    values = {name: value for name, value in command["env"].items() if name != processes.MARKER}
    written = command | {"env": sorted(values)}
    _write(folder / "prompt.md", _bytes(prompt))
    _write(folder / "command.json", json.dumps(written, indent=1).encode() + b"\n")
    with _private(folder / "runner.log", os.O_APPEND) as log:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-X", "utf8", str(RUNNER), str(folder.absolute())],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            env=values,
            umask=0o077,
            start_new_session=True,
        )
    return Handle(folder, written, process)


def attach(folder: Path) -> Handle | None:
    """The live runner of an attempt that another consumer started, or None when there is none.

    None is final: a runner that starts late finds exit.json and does not start claude. Only for
    folders of this host.
    """
    found = of(folder)  # None: it never came to starting a runner, or a power cut
    return found if found is not None and found.poll() is None else None


def began_here(folder: Path) -> bool:
    """Whether a runner of this folder began since the machine was started: only then can it live or have
    ended by itself."""
    try:
        return bool(
            json.loads((folder / "runner.json").read_bytes())["boot_id"] == processes.boot_id()
        )
    except (OSError, ValueError, KeyError):
        return False


def of(folder: Path) -> Handle | None:
    """The run of an attempt's folder, alive or ended; None when none was prepared there."""
    try:
        return Handle(folder, json.loads((folder / "command.json").read_bytes()))
    except (OSError, ValueError, KeyError):
        return None


def exit_of(folder: Path) -> Exit | None:
    """What exit.json says, with the end of stderr.log; None while there is none."""
    try:
        text = (folder / "exit.json").read_bytes()
    except FileNotFoundError:
        return None
    try:
        ended = msgspec.json.decode(text, type=Exit)
    except msgspec.MsgspecError:
        ended = Exit(lost_runner=True)
    tail = _tail(folder / "stderr.log") or (
        _tail(folder / "runner.log") if ended.lost_runner else ""
    )
    return msgspec.structs.replace(ended, stderr_tail=tail)


def _bury(folder: Path) -> Exit:
    """End what a runner that was killed left behind, and write the word that it could not write.

    Under its lock, so that a runner that starts late does nothing; the first of several does it.
    """
    with _lock(folder, wait_s=2 * SWEEP_WITHIN_S) as locked:
        if ended := exit_of(folder):
            return ended
        command = json.loads((folder / "command.json").read_bytes())
        until = time.monotonic() + SWEEP_WITHIN_S
        killed = processes.sweep_attempt(command["marker"], until, processes.THOROUGH_LOOKS)
        left = processes.marked(command["marker"])
        if locked:
            if os.path.lexists(command["tmpdir"]):
                remove_tree(command["tmpdir"])
            Path(command["socket"]).unlink(missing_ok=True)
            row = {"lost_runner": True, "leftovers": killed, "survivors": len(left)}
            _write(folder / "exit.json", json.dumps(row | {"ended_at": time.time()}).encode())
        return exit_of(folder) or Exit(lost_runner=True, leftovers=killed, survivors=len(left))


@contextmanager
def _lock(folder: Path, wait_s: float) -> Iterator[bool]:
    """Whether the runner's lock is ours meanwhile: then no runner lives, and none can begin."""
    with _private(folder / "runner.lock", os.O_APPEND) as file:
        until = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= until:
                    yield False
                    return
                time.sleep(STARTING_LOOK_S)
            else:
                yield True
                return


def _write(path: Path, content: bytes) -> None:
    """All or nothing, for nobody else to read."""
    new = path.with_name(path.name + ".new")
    with _private(new, os.O_TRUNC) as file:
        file.write(content)
    new.replace(path)


def _private(path: Path, flags: int) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o600), "wb")


def _bytes(prompt: str) -> bytes:
    """UTF-8; a file name's foreign bytes, which Python keeps as surrogates, as they were."""
    try:
        return prompt.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return prompt.encode("utf-8", "replace")


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            return file.read().decode("utf-8", "replace").strip()
    except FileNotFoundError:
        return ""
