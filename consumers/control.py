"""The runner's socket: consumers send it JSON lines, it answers each with one.

What an order does is decided by the runner; this module only carries it. A garbled line is answered
with its error and harms nothing, and neither does a connection that breaks.
"""

from __future__ import annotations

import _socket  # the C half: `socket` itself adds 8 ms and 1 MiB to every attempt
import os

from consumers import light

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

LONGEST_LINE = 65_536
"""Bytes. An order is some 60 bytes long; more than this is no order."""


class Control:
    """Listens on a unix socket; `obey` turns each order into its answer."""

    def __init__(self, path: str, obey: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Raises OSError when the socket cannot be made. A stale one at the path is replaced."""
        self.path, self._obey = path, obey
        if os.path.lexists(path):
            os.unlink(path)
        self._listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        self._listener.setblocking(False)
        try:
            self._listener.bind(path)
        except OSError as error:  # which says neither the path nor, of a long one, the number
            raise OSError(error.errno or 0, error.strerror or str(error), path) from error
        self._listener.listen(16)
        self._connections: dict[int, tuple[_socket.socket, bytes]] = {}

    def files(self) -> Iterator[int]:
        """The descriptors to wait for."""
        yield self._listener.fileno()
        yield from self._connections

    def serve(self, file: int) -> None:
        """Do what can be done on a descriptor that became readable."""
        if file == self._listener.fileno():
            self._accept()
        elif file in self._connections:
            self._read(file)

    def close(self) -> None:
        """Take the socket away. Open connections end with the runner: that is its last word."""
        self._listener.close()
        if os.path.lexists(self.path):
            os.unlink(self.path)

    def _accept(self) -> None:
        try:
            file, _ = self._listener._accept()  # type: ignore[attr-defined]  # typeshed lacks it
        except OSError:  # the caller went away before we looked
            return
        connection = _socket.socket(fileno=file)
        connection.setblocking(False)
        self._connections[file] = (connection, b"")

    def _read(self, file: int) -> None:
        connection, before = self._connections[file]
        try:
            received = connection.recv(LONGEST_LINE)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        *lines, rest = (before + received).split(b"\n")
        self._connections[file] = (connection, rest)
        answered = all(self._answer(connection, line) for line in lines if line.strip())
        if not received or not answered or len(rest) > LONGEST_LINE:
            self._connections.pop(file)
            connection.close()

    def _answer(self, connection: _socket.socket, line: bytes) -> bool:
        """Whether the caller took the answer."""
        try:
            order = light.loads(line)
            answer = self._obey(order) if isinstance(order, dict) else _no("an order is an object")
        except ValueError as error:
            answer = _no(f"no JSON: {error}")
        try:
            connection.send(light.dumps(answer).encode() + b"\n")
        except OSError:  # it does not listen any more, or never read its answers
            return False
        return True


def _no(error: str) -> dict[str, Any]:
    return {"ok": False, "error": error, "pid": os.getpid()}
