"""A server of the test's own on loopback that answers what the test puts in, byte by byte where it must."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Reply:
    """What to answer: `body` may be more or less than `length` says; `drip` sends it piece by piece.

    `slowly` is a pause before each byte of the headers, s.
    """

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    drip: Callable[[], Iterator[bytes]] | None = None
    slowly: float = 0.0


@dataclass
class Asked:
    """What was asked."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class WebServer:
    """`replies` has what each path answers; a path that is not there is a 404."""

    def __init__(self) -> None:
        self.replies: dict[str, Reply | Callable[[Asked], Reply]] = {}
        self.asked: list[Asked] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                size = int(self.headers.get("content-length") or 0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(self.command, self.path, headers, self.rfile.read(size))
                web.asked.append(asked)
                reply = web.replies.get(self.path, Reply(status=404))
                self.send(reply(asked) if callable(reply) else reply)

            do_GET = do_POST = answer  # noqa: N815

            def send(self, reply: Reply) -> None:
                self.slowly = reply.slowly
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                if reply.drip is None:
                    length = len(reply.body) if reply.length is None else reply.length
                    self.send_header("content-length", str(length))
                self.send_header("connection", "close")
                self.end_headers()
                try:
                    for piece in reply.drip() if reply.drip else (reply.body,):
                        self.wfile.write(piece)
                        self.wfile.flush()
                except OSError:
                    return

            slowly = 0.0

            def flush_headers(self) -> None:
                if not self.slowly:
                    super().flush_headers()
                    return
                with contextlib.suppress(OSError):
                    for byte in b"".join(self._headers_buffer):  # type: ignore[attr-defined]
                        self.wfile.write(bytes([byte]))
                        self.wfile.flush()
                        time.sleep(self.slowly)

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"


@contextmanager
def serving() -> Iterator[WebServer]:
    """A server while the test needs it."""
    web = WebServer()
    thread = threading.Thread(target=web.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield web
    finally:
        web.server.shutdown()
        web.server.server_close()
