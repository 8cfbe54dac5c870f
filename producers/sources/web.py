"""One HTTP request as a poller makes it: bounded in time and size, conditional, and told when to come again.

urllib3 has the protocol; what is decided here is what an answer means for a source. A secret stands in no
message: of an address only scheme, host and path are shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin, urlsplit

import urllib3

from producers.sources import RefusedError, SourceError, Stopped
from producers.sources.alarm import OutOfTimeError, at_most

#: What an answer may weigh when it is unpacked, bytes.
SIZE_LIMIT = 20 << 20
MOST_REDIRECTS = 5
#: A source that asks for more patience than this is asked again nevertheless, s.
LONGEST_WAIT_S = 86_400.0
_CONNECT_S, _READ_S = 10.0, 30.0
_SLACK_S = 1.0  # the limits that say what was waited for come first
_PIECE = 1 << 16
#: What the headers of a limit begin with: GitHub's, X's, and those of the draft, which GitLab sends.
_LIMITS = ("x-ratelimit", "x-rate-limit", "ratelimit")
_MOVED = {301, 302, 303, 307, 308}
_AGENT = "baton (a poller; +python urllib3)"


@dataclass(frozen=True)
class Request:
    """What to ask. `credentials` says that a header or the query carries a secret."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    credentials: bool = False


@dataclass(frozen=True)
class Answer:
    """A whole answer with status 200, 204 or 304; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str
    wait_s: float = 0.0  # how long the server asks to be left alone, s
    limit_s: float = 0.0  # of that, how long because there was too much of us


class Web:
    """Asks with a time limit for the whole of one `ask`, redirects and body included."""

    def __init__(self, timeout_s: float, wall: Callable[[], float] = time.time) -> None:
        self.timeout_s, self._wall = timeout_s, wall
        self._pool = urllib3.PoolManager(retries=False, headers={"user-agent": _AGENT})

    def ask(self, request: Request, stopped: Callable[[], bool]) -> Answer:
        """The whole answer. Raises SourceError, RefusedError (401, 403) and Stopped."""
        deadline = time.monotonic() + self.timeout_s
        try:
            with at_most(self.timeout_s + _SLACK_S):
                return self._followed(request, deadline, stopped)
        except OutOfTimeError:
            raise SourceError(self._late(shown(request.url))) from None

    def _followed(self, request: Request, deadline: float, stopped: Callable[[], bool]) -> Answer:
        """The answer at the end of the redirects."""
        for _ in range(MOST_REDIRECTS + 1):
            found = self._ask_once(request, deadline, stopped)
            if isinstance(found, Answer):
                return found
            request = found
        raise SourceError(f"{shown(request.url)} sent us on more than {MOST_REDIRECTS} times")

    def _ask_once(
        self, request: Request, deadline: float, stopped: Callable[[], bool]
    ) -> Answer | Request:
        where = shown(request.url)
        try:
            response = self._send(request, deadline)
            try:
                if response.status in _MOVED and (to := response.headers.get("location")):
                    return redirected(request, response.status, to)
                body = self._body(response, where, deadline, stopped)
            finally:
                response.close()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise SourceError(f"{where}: {_reason(error)}") from error
        headers = {name.lower(): value for name, value in response.headers.items()}
        return self._judged(Answer(response.status, headers, body, request.url), where)

    def _send(self, request: Request, deadline: float) -> urllib3.BaseHTTPResponse:
        left = deadline - time.monotonic()
        if left <= 0:
            raise SourceError(self._late(shown(request.url)))
        return self._pool.request(
            request.method,
            request.url,
            headers={"user-agent": _AGENT, "accept-encoding": "gzip", **request.headers},
            body=request.body,
            redirect=False,
            preload_content=False,
            timeout=urllib3.Timeout(connect=min(_CONNECT_S, left), read=min(_READ_S, left)),
        )

    def _body(
        self,
        response: urllib3.BaseHTTPResponse,
        where: str,
        deadline: float,
        stopped: Callable[[], bool],
    ) -> bytes:
        body = bytearray()
        while piece := response.read1(_PIECE):
            body += piece
            if stopped():
                raise Stopped
            if len(body) > SIZE_LIMIT:
                raise SourceError(f"{where} answered with more than {SIZE_LIMIT >> 20} MB")
            if time.monotonic() > deadline:
                raise SourceError(self._late(where))
        return bytes(body)

    def _late(self, where: str) -> str:
        return f"{where}: no whole answer after {self.timeout_s:g} s (`timeout:`)"

    def _judged(self, answer: Answer, where: str) -> Answer:
        """The answer if it is one; else what its status means."""
        limit_s = asked_to_stop(answer.headers, self._wall())
        if answer.status in (200, 204, 304):
            wait_s = asked_to_wait(answer.headers, self._wall())
            return replace(answer, wait_s=wait_s, limit_s=limit_s)
        said = f"{where} answered {answer.status}"
        if answer.status in (401, 403) and not limit_s:
            raise RefusedError(
                f"{said}: its credentials are refused; correct them, then ./baton up"
            )
        raise SourceError(said, wait_s=limit_s)


def redirected(request: Request, status: int, to: str) -> Request:
    """The request to make instead. Raises SourceError where a secret would go to another host."""
    url = joined(request.url, to)
    old, new = urlsplit(request.url), urlsplit(url)
    if new.scheme not in ("http", "https"):
        raise SourceError(f"{shown(request.url)} sent us to {shown(url)}, which is no web address")
    same = (old.scheme, old.netloc) == (new.scheme, new.netloc)
    if request.credentials and not same:
        raise SourceError(
            f"{shown(request.url)} sent us to {shown(url)}: credentials do not go to another host;"
            " write the new address into baton.yaml if it is right"
        )
    stays = status in (307, 308) or request.method == "GET"
    method, body = (request.method, request.body) if stays else ("GET", None)
    return Request(url, method, request.headers, body, request.credentials)


def joined(url: str, to: str) -> str:
    """Where the server at `url` sends us, as a whole. Raises SourceError for what is no address."""
    try:
        found = urljoin(url, to)
        _ = urlsplit(found).port  # which is read only when it is asked for
    except ValueError as error:
        raise SourceError(f"{shown(url)} sends us to what is no address: {error}") from error
    return found


def asked_to_wait(headers: Mapping[str, str], now: float) -> float:
    """Seconds for which a whole answer holds, from max-age and from what `asked_to_stop` reads; at most a day."""
    held = _max_age(headers.get("cache-control", ""))
    return max(min(LONGEST_WAIT_S, held), asked_to_stop(headers, now))


def asked_to_stop(headers: Mapping[str, str], now: float) -> float:
    """Seconds that the server wants to be left alone, from Retry-After and X-RateLimit; at most a day."""
    waits = [_retry_after(headers.get("retry-after", ""), now)]
    waits += [_rate_limit(headers, name, now) for name in _LIMITS]
    return min(LONGEST_WAIT_S, max(0.0, *waits))


def _retry_after(text: str, now: float) -> float:
    if text.strip().isdecimal():
        return float(text)
    try:
        return parsedate_to_datetime(text).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _rate_limit(headers: Mapping[str, str], name: str, now: float) -> float:
    """Only when nothing is left: GitHub and others name the reset as Unix seconds, some as seconds from now."""
    reset = headers.get(f"{name}-reset", "").strip()
    if headers.get(f"{name}-remaining", "").strip() != "0" or not reset.isdecimal():
        return 0.0
    value = float(reset)
    return value - now if value > 1e9 else value


def _max_age(text: str) -> float:
    for part in text.lower().split(","):
        name, _, value = part.strip().partition("=")
        if name == "max-age" and value.isdecimal():
            return float(value)
    return 0.0


def shown(url: str) -> str:
    """An address without what may be secret: user, password, query, fragment."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        port = ""
    return f"{parts.scheme}://{host}{port}{parts.path}"


def _reason(error: Exception) -> str:
    """What went wrong, without urllib3's object names and without the address."""
    cause: BaseException = error
    while True:
        kind = type(cause).__name__
        if known := _KINDS.get(kind):
            return known
        inner = getattr(cause, "reason", None) or cause.__cause__ or cause.__context__
        if not isinstance(inner, BaseException):
            return getattr(cause, "strerror", None) or kind
        cause = inner


_KINDS = {
    "ConnectTimeoutError": "no connection in time",
    "ReadTimeoutError": "it stopped answering",
    "TimeoutError": "it stopped answering",
    "IncompleteRead": "the answer was cut off",
    "InvalidChunkLength": "the answer was cut off",
    "DecodeError": "the answer cannot be unpacked",
    "RemoteDisconnected": "it hung up without an answer",
}
