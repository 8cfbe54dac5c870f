"""The very command of docker-compose.yml, run on a server of this machine: no engine is needed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from redis.backoff import NoBackoff
from redis.retry import Retry

from durable.connect import findings
from tests.conftest import SERVERS, binary_of, wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
PASSWORD = "spaces, a 'quote', a \\ and a $sign"


def service() -> dict[str, Any]:
    """The redis service, with the password filled in as Compose does."""
    read = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    found: dict[str, Any] = read["services"]["redis"]
    found["command"] = [
        PASSWORD if word.startswith("${BATON_REDIS_PASSWORD:?") else word
        for word in found["command"]
    ]
    return found


class Composed:
    """A server started as the container starts it, but for its port and its folder."""

    def __init__(self, path: str, folder: Path) -> None:
        self.folder = folder
        self.command = [path, *service()["command"][1:]]
        self.command += ["--port", "0", "--unixsocket", "c.sock", "--dir", str(folder)]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> redis.Redis:
        """Start it and return a client that knows the password, once the server answers."""
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(self.command, cwd=self.folder, stdout=log, stderr=log)
        log.close()
        client = self.client(PASSWORD)
        wait_until(lambda: answers(client), what="the server answers")
        return client

    def client(self, password: str | None) -> redis.Redis:
        """A client with PASSWORD, or with none."""
        once = Retry(NoBackoff(), retries=0)  # a refusal is an answer, not a reason to try again
        socket = str(self.folder / "c.sock")
        return redis.Redis(unix_socket_path=socket, password=password, retry=once)

    def kill(self) -> None:
        """SIGKILL, as a crash of the engine does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


def answers(client: redis.Redis) -> bool:
    """Whether the server is up and has read its data."""
    try:
        return bool(client.ping())
    except (redis.ConnectionError, redis.BusyLoadingError):
        return False


@pytest.fixture(params=SERVERS)
def composed(request: pytest.FixtureRequest, short_tmp: Path) -> Iterator[Composed]:
    """Not yet started; killed at the end."""
    own = Composed(binary_of(request.param).path, short_tmp)
    yield own
    own.kill()


def test_baton_has_nothing_to_say_against_this_server(composed: Composed) -> None:
    client: Any = composed.start()
    assert findings(client) == ([], [])
    assert client.config_get("appendfsync") == {"appendfsync": "always"}


def test_what_was_answered_survives_a_sigkill(composed: Composed) -> None:
    client = composed.start()
    for number in range(200):
        client.rpush("accepted", number)
    composed.kill()
    assert composed.start().llen("accepted") == 200


def test_a_client_without_the_password_is_refused(composed: Composed) -> None:
    composed.start()
    refused: Callable[[], object] = composed.client(None).dbsize
    with pytest.raises(redis.AuthenticationError):
        refused()


def test_the_health_check_passes_only_with_the_password(composed: Composed) -> None:
    cli = shutil.which("redis-cli")
    if cli is None:
        pytest.skip("no redis-cli on PATH (it comes with Debian's redis-server)")
    composed.start()
    kind, line = service()["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    line = line.replace("redis-cli", "redis-cli -s c.sock")

    def healthy(password: str) -> bool:
        environ = {**os.environ, "REDISCLI_AUTH": password}
        return not subprocess.run(line, shell=True, cwd=composed.folder, env=environ).returncode

    assert healthy(PASSWORD)
    assert not healthy("another")
