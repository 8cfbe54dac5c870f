"""The HTTP side of the stand-in: reads requests, plans and sends answers, keeps the log.

What is answered comes from demo/conversation.py, its shape from demo/reply.py.
"""

import hashlib
import json
import os
import secrets
import select
import socket
import socketserver
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from demo import conversation, reply
from demo.conversation import Turn
from demo.quota import Quota
from demo.script import Cut, Fail, Hang, Obstacle, Say, Script, Step, Wait

HOST = "127.0.0.1"
SIDE_TOKENS = 1024  # the quota question asks for 1, a title for a few hundred
CUT_AFTER_S = 0.3  # so that the client has read what came before the cut
PING_EVERY_S = 5.0  # the real API pings about as often while a model thinks


class ClientGoneError(ConnectionError):
    """The client closed the connection while the stand-in was waiting."""


class StandIn(ThreadingHTTPServer):
    """The server; remembers only how often an obstacle with `times` has been met."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, log: Path | None, quota: Quota | None = None) -> None:
        """Listen on `port` of loopback (0: a free one); raises OSError when it is in use."""
        super().__init__((HOST, port), Handler)
        self._log, self.quota = log, quota
        self._met: Counter[tuple[str, int]] = Counter()
        self._lock = threading.Lock()

    def server_bind(self) -> None:
        """Bind without the look-up of the host's name, which can take seconds off line."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.server_address[1]

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay quiet about clients that leave; anything else is a bug and is printed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # only printed

    def meets(self, obstacle: Obstacle, prompt: str, turn: int) -> bool:
        """Tell whether this request still meets the obstacle, and count it."""
        if obstacle.times is None:
            return True
        key = (hashlib.sha256(prompt.encode()).hexdigest(), turn)
        with self._lock:
            self._met[key] += 1
            return self._met[key] <= obstacle.times

    def record(self, entry: dict[str, Any]) -> None:
        """Append one line to the log, if there is one."""
        if self._log is None:
            return
        line = json.dumps(entry) + "\n"
        with self._lock, self._log.open("a", encoding="utf-8") as file:
            file.write(line)


class Handler(BaseHTTPRequestHandler):
    """One connection of the CLI; each request is answered from what it carries."""

    server: StandIn
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # an event is sent when it is written

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        """Print nothing: the terminal belongs to the demo; `--log` has the requests."""

    def do_HEAD(self) -> None:
        """Answer the CLI's warming up of a connection."""
        self._json(200, {})

    def do_GET(self) -> None:
        """Nothing can be read here; the CLI goes on without."""
        self._note("get", 404)
        self._json(404, reply.error(404, "the stand-in answers messages only"))

    def do_POST(self) -> None:
        """Answer a message, a token count, or a side request."""
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        if path == "/v1/messages":
            self._messages(raw)
        elif path == "/v1/messages/count_tokens":
            self._note("count_tokens", 200)
            self._json(200, {"input_tokens": len(raw) // reply.BYTES_PER_TOKEN})
        else:
            self._note("other", 200)
            self._json(200, {})

    def _messages(self, raw: bytes) -> None:
        body: dict[str, Any] = {}
        try:
            body = _object(raw)
            turn = side_turn(body) or conversation.next_turn(body, os.path.exists)
        except ValueError as error:
            self._fail(Fail(400, f"stand-in: {error}"), body, None)
            return
        prompt = conversation.prompt(body)
        plan = self._refusal(body) or self._spent(body) or planned(turn, prompt, self.server.meets)
        match plan:
            case Fail():
                self._fail(plan, body, turn)
            case Hang():
                self._note("message", None, body, turn)
                self._pause(None)
            case Turn() if body.get("stream"):
                self._stream(plan, body, len(raw))
            case Turn():
                self._whole(plan, body, len(raw))

    def _refusal(self, body: dict[str, Any]) -> Fail | None:
        """Refuse what the real API would refuse whatever the prompt says."""
        if self._auth() == "none":
            return Fail(401, "x-api-key header is required")
        model = str(body.get("model"))
        return None if model.startswith("claude-") else Fail(404, f"model: {model}")

    def _spent(self, body: dict[str, Any]) -> Fail | None:
        quota = self.server.quota
        return quota.refusal(time.time()) if quota and side_turn(body) is None else None

    def _fail(self, fail: Fail, body: dict[str, Any], turn: Turn | None) -> None:
        self._note("message", fail.status, body, turn)
        error = reply.error(fail.status, fail.message)
        self._json(fail.status, error, _limit_headers(turn, fail.status == 429) | {**fail.headers})

    def _whole(self, turn: Turn, body: dict[str, Any], size: int) -> None:
        self._note("message", 200, body, turn)
        for step in turn.steps:
            if isinstance(step, Hang | Cut):
                self._break(step)
            elif isinstance(step, Wait):
                self._pause(step.seconds)
        self._json(200, reply.whole(turn, body["model"], size), _limit_headers(turn, False))

    def _stream(self, turn: Turn, body: dict[str, Any], size: int) -> None:
        self._note("message", 200, body, turn)
        self.send_response(200)
        self._headers(_limit_headers(turn, False) | {"Content-Type": "text/event-stream"})
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for action in reply.stream(turn, body["model"], size):
            match action:
                case dict():
                    self._chunk(reply.encode(action))
                case Wait(seconds):
                    self._think(seconds)
                case Hang() | Cut():
                    self._break(action)
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def _think(self, seconds: float) -> None:
        """Stay silent but for pings, as the real API does."""
        while seconds > 0:
            self._pause(min(seconds, PING_EVERY_S))
            seconds -= PING_EVERY_S
            if seconds > 0:
                self._chunk(reply.encode({"type": "ping"}))

    def _break(self, step: Hang | Cut) -> None:
        self._pause(None if isinstance(step, Hang) else CUT_AFTER_S)
        self.connection.shutdown(socket.SHUT_RDWR)
        raise ClientGoneError

    def _pause(self, seconds: float | None) -> None:
        """Wait `seconds`, or for ever; raises ClientGoneError as soon as the client leaves."""
        poll = select.poll()
        poll.register(self.connection, select.POLLIN)
        if poll.poll(None if seconds is None else seconds * 1000):
            # The CLI sends nothing before its answer is there: readable means closed.
            raise ClientGoneError

    def _json(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self._headers((headers or {}) | {"Content-Type": "application/json"})
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _headers(self, headers: dict[str, str]) -> None:
        self.send_header("request-id", f"req_standin{secrets.token_hex(8)}")
        for name, value in headers.items():
            self.send_header(name, value)

    def _auth(self) -> str:
        """Tell how the request is billed, never the secret itself."""
        if self.headers.get("Authorization", "").startswith("Bearer "):
            return "oauth"
        return "api_key" if self.headers.get("x-api-key") else "none"

    def _note(
        self,
        kind: str,
        status: int | None,
        body: dict[str, Any] | None = None,
        turn: Turn | None = None,
    ) -> None:
        self.server.record(
            {
                "time": time.time(),
                "method": self.command,
                "path": self.path,
                "kind": kind,
                "auth": self._auth(),
                "session": self.headers.get("X-Claude-Code-Session-Id"),
                "model": (body or {}).get("model"),
                "turn": turn and turn.number,
                "directive": turn and turn.directive,
                "status": status,
            }
        )


def planned(
    turn: Turn, prompt: str, meets: Callable[[Obstacle, str, int], bool]
) -> Fail | Hang | Turn:
    """Turn the obstacles that this request meets into an error, a hang, or steps of the stream.

    `meets(obstacle, prompt, position)` decides, position -1 for the one that meets every turn.
    """
    steps = [
        step
        for step in turn.steps
        if not isinstance(step, Obstacle) or meets(step, prompt, turn.number)
    ]
    every = turn.script.obstacle
    if every is not None and meets(every, prompt, -1):
        steps = [every] if _before_stream(every) else [Say("This answer breaks off"), every]
    first = next((step for step in steps if _before_stream(step)), None)
    if isinstance(first, Fail | Hang):
        return first
    return replace(turn, steps=tuple(steps))


def _before_stream(step: Step) -> bool:
    return isinstance(step, Fail) or (isinstance(step, Hang) and step.where == "before")


def side_turn(body: dict[str, Any]) -> Turn | None:
    """Answer the CLI's own small questions (quota, titles), which no directive is meant for."""
    if body.get("tools") or body.get("thinking") or body.get("max_tokens", 0) > SIDE_TOKENS:
        return None
    return Turn(Script(), 0, (Say("Stand-in"),), None)


def _object(raw: bytes) -> dict[str, Any]:
    body = json.loads(raw)
    if not isinstance(body, dict):
        raise ValueError("the request's body is no JSON object")
    return body


def _limit_headers(turn: Turn | None, refusing: bool) -> dict[str, str]:
    limits = turn.script.limits_told(refusing) if turn else None
    return limits.headers(time.time()) if limits else {}
