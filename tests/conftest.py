"""Private servers for every test: nothing here ever touches what answers on localhost."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from functools import cache, partial
from pathlib import Path

import fakeredis
import hypothesis
import pytest
import redis

from durable import server
from durable.queue import BatonHuey
from durable.store import LeaseStore

ROOT = Path(__file__).resolve().parent.parent

# A bound on the time of one example would be a bound on how busy the machine may be.
hypothesis.settings.register_profile("baton", deadline=None)
hypothesis.settings.load_profile("baton")


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

    def start(self, *flags: str) -> None:
        """Start as Baton does, with `flags` over its configuration; returns when it accepts connections."""
        file = server.prepare(self.folder, self.socket, self.binary)
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.binary.path, str(file), *flags], stdout=log, stderr=log
            )
        wait_until(self._is_up, what="the server answers")

    def _is_up(self) -> bool:
        """Whether its data are read and it answers, be it that it wants a password."""
        return server._ask(self.socket).startswith((b"+PONG", b"-NOAUTH"))

    def kill(self) -> None:
        """SIGKILL, as a crash does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def client(self) -> redis.Redis:
        """A client of its own."""
        return redis.Redis(unix_socket_path=str(self.socket))


#: The servers that the queue is promised for: the packaged Valkey, and the Redis of PATH (Debian's 7.0 in CI).
SERVERS = ("valkey", "redis")


def binary_of(kind: str) -> server.Binary:
    """The server of this kind. Without a Redis the test is skipped, but in CI it fails: nothing is left out there."""
    path = shutil.which("redis-server")
    found = server.find_binary() if kind == "valkey" else path and server.identify(path, "on PATH")
    if found:
        return found
    words = "no redis-server on PATH (Debian: apt install redis-server), so half of the promise is not tested"
    if os.environ.get("CI"):
        pytest.fail(words)
    pytest.skip(words)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--servers`, which `./baton test` gives."""
    words = "run the queue's tests in tests/unit on real servers as well as on the fake one"
    parser.addoption("--servers", action="store_true", help=words)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test logged goes from a worker to the main process, which half a character would end."""
    report = yield
    report.sections = [
        (title, text.encode(errors="backslashreplace").decode()) for title, text in report.sections
    ]
    return report


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """For what every log of CI shall hold, the green ones too: it stands at the end of the run."""
    return partial(record_property, "told")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests told; a worker of pytest-xdist has no terminal of its own."""
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, text in getattr(report, "user_properties", ()):
                if name == "told" and report.when == "call":
                    terminalreporter.write_sep("-", report.nodeid)
                    terminalreporter.write_line(str(text))


@pytest.fixture
def short_tmp() -> Iterator[Path]:
    """A folder whose path is short enough for unix sockets."""
    folder = Path(tempfile.mkdtemp(prefix="bt-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=SERVERS)
def private_server(request: pytest.FixtureRequest, short_tmp: Path) -> Iterator[PrivateServer]:
    """A private server that the test may kill: once the packaged Valkey and once the Redis of PATH."""
    own = PrivateServer(short_tmp, binary_of(request.param))
    own.start()
    yield own
    own.kill()


@pytest.fixture
def valkey(short_tmp: Path) -> Iterator[PrivateServer]:
    """A private packaged Valkey."""
    own = PrivateServer(short_tmp, binary_of("valkey"))
    own.start()
    yield own
    own.kill()


@pytest.fixture(scope="session")
def shared_servers() -> Iterator[Callable[[str], PrivateServer]]:
    """Real servers by kind, emptied each time that one is asked for; started once, for nobody kills them."""
    with contextlib.ExitStack() as at_the_end:

        @cache
        def started(kind: str) -> PrivateServer:
            folder = at_the_end.enter_context(tempfile.TemporaryDirectory(prefix="bt-"))
            own = PrivateServer(Path(folder), binary_of(kind))
            at_the_end.callback(own.kill)
            own.start()
            return own

        def emptied(kind: str) -> PrivateServer:
            own = started(kind)
            own.client().flushall()
            return own

        yield emptied


@pytest.fixture
def client(request: pytest.FixtureRequest) -> redis.Redis:
    """An empty server for the queue: a fake one in this process, with Lua, or the one that a conftest.py asks for."""
    kind = getattr(request, "param", "fake")
    if kind == "fake":
        return fakeredis.FakeRedis(server_type="valkey")
    shared: Callable[[str], PrivateServer] = request.getfixturevalue("shared_servers")
    return shared(kind).client()


@pytest.fixture
def store(client: redis.Redis) -> LeaseStore:
    """The queue's verbs."""
    return LeaseStore(client, "{test}:")


@pytest.fixture
def huey(client: redis.Redis) -> BatonHuey:
    """A Huey of ours."""
    return BatonHuey("test", client=client)
