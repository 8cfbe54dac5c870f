"""A private folder with a Redis of its own, a proxy in front of it, and the crew that works there."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import redis

from chaos.crew import Crew, Member
from chaos.proxy import Proxy
from consumers.times import SCALE
from durable import server
from durable.connect import connect

ROOT = Path(__file__).resolve().parent.parent
#: Leases of 3 s and 1.5 s of grace, so that a minute holds many of them.
LEASE_SCALE = 0.1
#: When a silent consumer's task is given on, s.
LEASE_S = (30.0 + 15.0) * LEASE_SCALE
_START_S = 20.0
INSTANCE = "chaos"

_YAML = """\
instance: chaos
consumers: {consumers}
tasks: [chaos_tasks]
"""


class ArenaError(Exception):
    """A part of the arena did not start; the message says where its log is."""


class Stage(NamedTuple):
    """On what a game is played: how many consumers, whose server, and how they reach it."""

    consumers: int
    server: server.Binary | None = None  # None: the one that Baton itself finds
    tcp: bool = False


def find_server(name: str) -> server.Binary | None:
    """The server of a path, or of a name on PATH; `redis` and `valkey` will do. None for no name.

    Raises ArenaError when there is none.
    """
    if not name:
        return None
    path = shutil.which(name) or shutil.which(f"{name}-server")
    found = server.identify(path, "asked for") if path else None
    if found is None:
        raise ArenaError(f"no server '{name}' runs here: give a path, or a name that is on PATH")
    return found


class Arena:
    """Made by `open`, taken down by `close`; everything in it is private to this run."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.folder = Path(tempfile.mkdtemp(prefix="bc-")).resolve()
        self.socket = self.folder / "var" / "run" / "redis.sock"
        self.proxy = Proxy(None if stage.tcp else self.folder / "proxy.sock", self.socket)
        self.crew = Crew()
        (self.folder / "home").mkdir()
        (self.folder / "baton.yaml").write_text(_YAML.format(consumers=stage.consumers))
        (self.folder / "chaos_tasks.py").write_text("from chaos.work import work as work\n")

    @property
    def client(self) -> redis.Redis:
        """A client past the proxy."""
        return connect(f"unix://{self.socket}", retries=0)

    def open(self) -> None:
        """Start the proxy and the server. Raises ArenaError."""
        self.proxy.start()
        if self.stage.server is None:
            self._add_embedded()
        else:
            self._add_server(self.stage.server)
        self.crew.revive()
        self.wait_for_server()

    def _add_embedded(self) -> None:
        """As PM2 starts it."""
        environment = self.environment()
        del environment["REDIS_URL"]  # this is the server; all others go by the proxy
        self.add("redis", [str(ROOT / "app.py"), "redis"], environment)

    def _add_server(self, binary: server.Binary) -> None:
        """Another one, configured as Baton does it."""
        folder = self.folder / "var"
        self.socket.parent.mkdir(parents=True, mode=0o700)
        file = server.prepare(folder, self.socket, binary)
        self._enlist("redis", [binary.path, str(file)], self.environment())

    def wait_for_server(self) -> None:
        """Until it answers, however often it has to be started. Raises ArenaError."""
        until = time.monotonic() + _START_S
        while not server.answers(self.socket):
            if time.monotonic() > until:
                raise ArenaError(f"Redis does not start: {self.folder / 'redis.log'}")
            self.crew.revive()
            time.sleep(0.02)

    def add(self, name: str, words: list[str], environment: dict[str, str] | None = None) -> None:
        """A Python process of this name, started with the next `revive`."""
        self._enlist(name, [sys.executable, "-P", *words], environment or self.environment())

    def _enlist(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        self.crew.add(Member(name, command, environment, ROOT, self.folder / f"{name}.log"))

    def environment(self) -> dict[str, str]:
        """What every process of the run sees; nothing of the caller's but where programs are."""
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self.folder / "home"),
            "PYTHONPATH": str(ROOT),
            "BATON_CONFIG": str(self.folder / "baton.yaml"),
            "BATON_VAR": str(self.folder / "var"),
            "BATON_CHAOS_FOLDER": str(self.folder),
            "REDIS_URL": self.proxy.url,
            SCALE: str(LEASE_SCALE),
        }

    def close(self, *, keep: bool) -> None:
        """Nothing is left running; the folder stays when there is something to look at."""
        self.crew.end()
        self.proxy.stop()
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)
