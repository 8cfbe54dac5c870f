"""A client for those who only look: it knows a dozen commands and starts in a tenth of redis-py's time.

Importing redis-py takes longer than all the rest of `./baton list` together, since it brings its asyncio
half along. So a verb that looks speaks to the server through hiredis alone. At the first trouble of any
kind (a URL that is not plain, a server that is away or refuses, a command not listed here) redis-py is
loaded and asked the same again, and everything after it: what people are told about it is always its word.
Only for commands that change nothing, since they may be asked twice.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import parse_qs, unquote, urlsplit

import hiredis

if TYPE_CHECKING:
    import redis

#: As in durable/connect.py, which is not loaded here: it needs redis-py.
_CONNECT_TIMEOUT_S, _ANSWER_TIMEOUT_S = 5.0, 15.0
_CHUNK_BYTES = 65_536


class _TroubleError(Exception):
    """Something that redis-py is to deal with, and to find the words for."""


class _Call(NamedTuple):
    """A method of redis-py's client, as it was called."""

    name: str
    args: tuple[Any, ...]
    options: dict[str, Any]


def glance(url: str) -> redis.Redis:
    """A client for redis://, rediss:// or unix:// that connects at its first command."""
    return cast("redis.Redis", Glance(url))


class Glance:
    """Answers the methods of redis-py's client that look; raises what that raises."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._wire: _Wire | None = None
        self._whole: redis.Redis | None = None

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *args, **options: self.ask([_Call(name, args, options)])[0]

    def pipeline(self, transaction: bool = False) -> Batch:
        """Gather commands for one round trip. There are no transactions here."""
        return Batch(self)

    def ask(self, calls: Sequence[_Call]) -> list[Any]:
        """The answers to several calls in one round trip. Raises redis.RedisError."""
        if self._whole is None:
            try:
                return self._quickly(calls)
            except (
                TimeoutError
            ):  # it has been given its time once: with each retry of a retry it would be minutes
                self._whole = _whole(self._url, retries=0)
            except (_TroubleError, OSError, ValueError, hiredis.HiredisError):
                self._whole = _whole(self._url)
        if len(calls) == 1:
            [call] = calls
            return [getattr(self._whole, call.name)(*call.args, **call.options)]
        pipe = self._whole.pipeline(transaction=False)
        for call in calls:
            getattr(pipe, call.name)(*call.args, **call.options)
        return pipe.execute()

    def _quickly(self, calls: Sequence[_Call]) -> list[Any]:
        if any(call.name not in _COMMANDS for call in calls):
            raise _TroubleError
        if self._wire is None:
            self._wire = _Wire(self._url)
        words = [_COMMANDS[c.name].words(*c.args, **c.options) for c in calls]
        answers = zip(calls, self._wire.exchange(words), strict=True)
        return [_COMMANDS[call.name].read(answer, call.options) for call, answer in answers]


def _whole(url: str, retries: int = 2) -> redis.Redis:
    from durable.connect import connect

    return connect(url, retries=retries)


class Batch:
    """As redis-py's pipeline: methods are noted, `execute` answers them in order."""

    def __init__(self, client: Glance) -> None:
        self._client = client
        self._calls: list[_Call] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args, **options: self._calls.append(_Call(name, args, options))

    def execute(self) -> list[Any]:
        """The answers, in the order of the calls. Raises redis.RedisError."""
        calls, self._calls = self._calls, []
        return self._client.ask(calls) if calls else []


class _Wire:
    """A connection that is ready for commands, in the second version of the protocol."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        if parts.scheme not in ("unix", "redis") or set(query) - {"db"}:
            raise _TroubleError
        self._socket = _connected(parts)
        self._reader = hiredis.Reader()
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        if user or password:  # an ACL user may have none
            self.exchange([("AUTH", *([user] if user else []), password)])
        in_path = "" if parts.scheme == "unix" else parts.path.strip("/")
        if (number := query.get("db", [in_path])[0]) not in ("", "0"):
            self.exchange([("SELECT", number)])

    def exchange(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Send commands together and read what each of them answers."""
        self._socket.sendall(b"".join(hiredis.pack_command(words) for words in commands))
        return [self._read() for _ in commands]

    def _read(self) -> Any:
        answer = self._reader.gets()
        while answer is False:  # RESP2 has no booleans: this is "not all there yet"
            chunk = self._socket.recv(_CHUNK_BYTES)
            if not chunk:
                raise _TroubleError
            self._reader.feed(chunk)
            answer = self._reader.gets()
        if isinstance(answer, Exception):
            raise _TroubleError from answer
        return answer


def _connected(parts: Any) -> socket.socket:
    if parts.scheme == "redis":
        made = socket.create_connection((parts.hostname, parts.port or 6379), _CONNECT_TIMEOUT_S)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    else:
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(_CONNECT_TIMEOUT_S)
        made.connect(unquote(parts.path))
    made.settimeout(_ANSWER_TIMEOUT_S)
    return made


class _Command(NamedTuple):
    """How a method becomes words for the server, and its answer what redis-py would make of it."""

    words: Callable[..., tuple[Any, ...]]
    read: Callable[[Any, dict[str, Any]], Any]


def _plain(word: str, read: Callable[[Any], Any] = lambda answer: answer) -> _Command:
    return _Command(lambda *args: (word, *args), lambda answer, _: read(answer))


def _hmget(key: str, *fields: Any) -> tuple[Any, ...]:
    listed = fields[0] if isinstance(fields[0], list) else fields
    return ("HMGET", key, *listed)


def _zrange(
    key: str,
    start: Any,
    end: Any,
    *,
    desc: bool = False,
    byscore: bool = False,
    withscores: bool = False,
) -> tuple[Any, ...]:
    flags = (("BYSCORE", byscore), ("REV", desc), ("WITHSCORES", withscores))
    return ("ZRANGE", key, start, end, *(word for word, wanted in flags if wanted))


def _ranged(answer: Any, options: dict[str, Any]) -> Any:
    if not options.get("withscores"):
        return answer
    return [(member, float(score)) for member, score in _pairs(answer)]


def _pairs(answer: Any) -> Iterator[tuple[bytes, bytes]]:
    return zip(answer[::2], answer[1::2], strict=True)


_COMMANDS: dict[str, _Command] = {
    "exists": _plain("EXISTS"),
    "hget": _plain("HGET"),
    "hgetall": _plain("HGETALL", lambda answer: dict(_pairs(answer))),
    "hkeys": _plain("HKEYS"),
    "hmget": _Command(_hmget, lambda answer, _: answer),
    "hvals": _plain("HVALS"),
    "lrange": _plain("LRANGE"),
    "smembers": _plain("SMEMBERS", set),
    "time": _plain("TIME", lambda answer: (int(answer[0]), int(answer[1]))),
    "zcard": _plain("ZCARD"),
    "zlexcount": _plain("ZLEXCOUNT"),
    "zrange": _Command(_zrange, _ranged),
    "zrangebylex": _Command(
        lambda key, low, high, start, num: ("ZRANGEBYLEX", key, low, high, "LIMIT", start, num),
        lambda answer, _: answer,
    ),
    "zscore": _plain("ZSCORE", lambda answer: None if answer is None else float(answer)),
}
