"""Private servers for every test: nothing here ever touches what answers on localhost."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import fakeredis
import pytest
import redis

from durable import server
from durable.queue import BatonHuey
from durable.store import LeaseStore

ROOT = Path(__file__).resolve().parent.parent


def wait_until(condition: Callable[[], object], seconds: float = 20.0, what: str = "") -> None:
    """Return as soon as the condition holds; fail, naming it, when it does not in time."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            pytest.fail(f"not within {seconds} s: {what or condition}")
        time.sleep(0.02)


class PrivateServer:
    """A real server of the test's own on a unix socket, that a test may kill and start again."""

    def __init__(self, folder: Path, binary: server.Binary) -> None:
        self.folder, self.binary = folder, binary
        self.socket = folder / "redis.sock"
        self.url = f"unix://{self.socket}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start as Baton does, and wait for the first answer."""
        file = server.prepare(self.folder, self.socket, self.binary)
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen([self.binary.path, str(file)], stdout=log, stderr=log)
        wait_until(lambda: server.answers(self.socket), what="the server answers")

    def kill(self) -> None:
        """SIGKILL, as a crash does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def client(self) -> redis.Redis:
        """A client of its own."""
        return redis.Redis(unix_socket_path=str(self.socket))


def _binaries() -> dict[str, server.Binary]:
    found = {"valkey": server.find_binary()}
    debian = shutil.which("redis-server")
    if debian:
        identified = server.identify(debian, "on PATH")
        if identified:
            found["redis"] = identified
    return found


@pytest.fixture
def short_tmp() -> Iterator[Path]:
    """A folder whose path is short enough for unix sockets."""
    folder = Path(tempfile.mkdtemp(prefix="bt-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["valkey", "redis"])
def private_server(request: pytest.FixtureRequest, short_tmp: Path) -> Iterator[PrivateServer]:
    """A private server, once the packaged Valkey and once the Redis of PATH."""
    binaries = _binaries()
    if request.param not in binaries:
        pytest.skip("no redis-server on PATH; the packaged Valkey runs the same tests")
    own = PrivateServer(short_tmp, binaries[request.param])
    own.start()
    yield own
    own.kill()


@pytest.fixture
def valkey(short_tmp: Path) -> Iterator[PrivateServer]:
    """A private packaged Valkey."""
    own = PrivateServer(short_tmp, _binaries()["valkey"])
    own.start()
    yield own
    own.kill()


@pytest.fixture
def fake_client() -> fakeredis.FakeRedis:
    """A server in this process, with Lua: for the quick tests."""
    return fakeredis.FakeRedis(server_type="valkey")


@pytest.fixture
def store(fake_client: fakeredis.FakeRedis) -> LeaseStore:
    """The queue's verbs on the fake server."""
    return LeaseStore(fake_client, "{test}:")


@pytest.fixture
def huey(fake_client: fakeredis.FakeRedis) -> BatonHuey:
    """A Huey of ours on the fake server."""
    return BatonHuey("test", client=fake_client)
