"""How a message gets out: POST to a webhook, or a program that reads it on standard input; and a plain GET for pings.

An address may be a secret as a whole (Slack's and Healthchecks' are), so of one only its host is ever shown.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import urllib3

import settings as types
from producers.sources.alarm import OutOfTimeError, at_most
from producers.sources.command import environment

_AGENT = "baton (alerts; +python urllib3)"
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
#: What is read of an answer, bytes: nobody needs it.
_ANSWER = 1 << 16
#: These say that this message will never be taken, whoever sends it.
_NEVER = {400, 413, 415, 422}
_LOOK_S = 0.05


class DeliveryError(Exception):
    """It was not taken. `permanent`: it is this message that is refused."""

    def __init__(self, problem: str, *, permanent: bool = False) -> None:
        super().__init__(problem)
        self.permanent = permanent


class Way(Protocol):
    """Where messages go."""

    def send(self, body: bytes) -> None:
        """Send JSON. Raises DeliveryError."""


class MissingVariableError(Exception):
    """An address names a variable that has no value, or one with which it is no address."""


def filled(text: str, environ: Mapping[str, str]) -> str:
    """The text with the values of its `${NAME}`. Raises MissingVariableError."""

    def value(found: re.Match[str]) -> str:
        name = found[1]
        if not environ.get(name):
            raise MissingVariableError(f"the variable {name} has no value: write it into .env")
        return environ[name]

    return _VARIABLE.sub(value, text)


def address(text: str, environ: Mapping[str, str]) -> str:
    """A web address with the values of its `${NAME}`. Raises MissingVariableError, without those values.

    Without https:// in front a secret would go over the wire as it is.
    """
    url = filled(text, environ)
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        whole = False
    if not whole:
        names = ", ".join(_VARIABLE.findall(text))
        raise MissingVariableError(
            f"{names} in .env makes no web address: write it whole, with https:// or http://"
        )
    return url


def shown(url: str) -> str:
    """An address without what may be secret, which is all but its host."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}/…"


class Web:
    """Requests with a time limit for the whole; redirects are not followed, for a secret would go with them."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._pool = urllib3.PoolManager(retries=False)

    def ask(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> None:
        """Raises DeliveryError unless the answer is 2xx."""
        deadline = time.monotonic() + self.timeout_s
        response: urllib3.BaseHTTPResponse | None = None
        try:
            with at_most(
                self.timeout_s
            ):  # urllib3's own limit begins anew with each byte of a head
                response = self._pool.request(
                    method,
                    url,
                    body=body,
                    headers={"user-agent": _AGENT, **headers},
                    redirect=False,
                    preload_content=False,
                    timeout=urllib3.Timeout(total=self.timeout_s),
                )
                self._read(response, deadline)
        except OutOfTimeError:
            if response is None:
                words = f"{shown(url)} has not answered within {self.timeout_s:g} s"
                raise DeliveryError(words) from None
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            # urllib3's own words hold the address.
            raise DeliveryError(
                f"{shown(url)} cannot be reached ({type(error).__name__})"
            ) from None
        finally:
            if response is not None:
                response.close()
        if not 200 <= response.status < 300:
            words = f"{shown(url)} answered {response.status}"
            raise DeliveryError(words, permanent=response.status in _NEVER)

    def _read(self, response: urllib3.BaseHTTPResponse, deadline: float) -> None:
        """The beginning of the answer, so that the server sees it taken."""
        taken = 0
        while taken < _ANSWER and time.monotonic() < deadline:
            piece = response.read1(_ANSWER)
            if not piece:
                return
            taken += len(piece)


class Webhook:
    """An address that takes JSON."""

    def __init__(self, config: types.Webhook, environ: Mapping[str, str], web: Web) -> None:
        """Raises MissingVariableError."""
        self._url, self._web = address(config.url, environ), web
        given = {name.lower(): filled(text, environ) for name, text in config.headers.items()}
        self._headers = {"content-type": "application/json", **given}

    def send(self, body: bytes) -> None:
        """One POST. Raises DeliveryError."""
        self._web.ask("POST", self._url, body, self._headers)


class Command:
    """A program that reads JSON on standard input; exit status 0 is a delivery."""

    def __init__(
        self,
        argv: Sequence[str],
        timeout_s: float,
        cwd: Path,
        env: Mapping[str, str],
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self.argv, self.timeout_s, self.cwd, self.env = list(argv), timeout_s, cwd, dict(env)
        self._stopped = stopped

    def send(self, body: bytes) -> None:
        """Run it once; nothing of its process group is left. Raises DeliveryError."""
        name = os.path.basename(self.argv[0])
        try:
            process = subprocess.Popen(
                self.argv,
                cwd=self.cwd,
                env=self.env,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise DeliveryError(f"{name} cannot be started: {reason}") from error
        try:
            ended = self._fed(process, body)
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if not ended:
            raise DeliveryError(f"{name} was not done after {self.timeout_s:g} s (`timeout:`)")
        if process.returncode:
            raise DeliveryError(f"{name} ended with {process.returncode}")

    def _fed(self, process: subprocess.Popen[bytes], body: bytes) -> bool:
        """Whether it has ended by itself in time."""
        deadline = time.monotonic() + self.timeout_s
        feed: bytes | None = body
        while time.monotonic() < deadline and not self._stopped():
            try:
                process.communicate(feed, timeout=_LOOK_S)
            except subprocess.TimeoutExpired:
                feed = None  # communicate goes on with what it was given first
            else:
                return True
        return False


def way_of(settings: types.Settings, stopped: Callable[[], bool] = lambda: False) -> Way | None:
    """Where alerts go; None where none are configured. Raises MissingVariableError."""
    alerts = settings.alerts
    if alerts is None:
        return None
    if alerts.webhook is not None:
        return Webhook(alerts.webhook, settings.environ, Web(alerts.timeout))
    assert alerts.command is not None
    env = environment(settings.environ, alerts.env)
    return Command(alerts.command, alerts.timeout, settings.base, env, stopped)
