"""Killed before and after every round trip: nothing is lost, nothing comes in or is settled twice.

A consumer plays a scripted scene (crash_tasks.py) through a turnstile that kills it at one request, before the
server gets it or before the reply comes back. A fresh consumer finishes the scene, and the oracle of the chaos
run looks at what is there. The same for a producer that moves a cursor.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import NamedTuple

import pytest

from chaos import evidence, oracle
from chaos.turnstile import AFTER, BEFORE, Point, Turnstile
from chaos.witness import Witness
from consumers.times import SCALE
from durable.connect import connect
from durable.records import FINAL
from durable.store import LeaseStore
from tests.conftest import ROOT, PrivateServer
from tests.integration import crash_nursery

#: Leases of 0.6 s, 0.3 s of grace, a look for lost ones every 0.1 s.
LEASE_SCALE = "0.02"
AT_ONCE = 2
PATIENCE_S = 30.0


class Nursery:
    """The process that all others are forked from."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", crash_nursery.__name__],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), SCALE: LEASE_SCALE},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def bear(self, **order: object) -> int:
        """The pid of a new process, which waits for its start."""
        assert self._process.stdin
        assert self._process.stdout
        with self._lock:
            print(json.dumps(order), file=self._process.stdin, flush=True)
            return int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


class Scene(NamedTuple):
    """Who prepares it, who is killed at a round trip, and who then finishes it."""

    before: tuple[str, ...]
    victim: str
    after: tuple[str, ...]


#: The same consumer takes its own leases back at once; another has to wait until they are over.
BACK = Scene(("put in",), "consumer 1", ("consumer 1",))
REAPED = Scene(("put in",), "consumer 1", ("consumer 2",))
PRODUCER = Scene((), "produce", ("produce", "consumer 1"))
#: How often these are asked depends on what happens in between and on how long that takes, so some of their
#: points are not met. The last three are the housekeeper's.
VARYING = {"CLIENT", "HELLO", "PING", "BZPOPMIN", "BZPOPMIN poke", "beat", "claim"}
VARYING |= {"reap", "HGETALL", "reconcile", "prune"}


class Stage:
    """One instance on a server that many share; one run of a scene."""

    def __init__(self, server: PrivateServer, nursery: Nursery, name: str) -> None:
        self.folder = server.folder / name
        self.folder.mkdir()
        self._server, self._nursery, self._name = server, nursery, name
        config = f"instance: {name}\nconsumers: 2\ntasks: [scene]\n"
        (self.folder / "baton.yaml").write_text(config)
        (self.folder / "scene.py").write_text("import tests.integration.crash_tasks\n")
        self.store = LeaseStore(connect(server.url), f"{{{name}}}:")
        self.turnstile = Turnstile(self.folder / "t.sock", server.socket)

    def play(self, scene: Scene, point: Point | None) -> bool:
        """The whole of it; whether the point was met."""
        for part in scene.before:
            self._do(part)
        self.turnstile.start()
        try:
            with self._process(scene.victim, self.turnstile.url) as pid:
                self.turnstile.arm(point, pid)
                self._start()
                self._wait(scene.victim, pid, self.turnstile.killed.is_set)
        finally:
            self.turnstile.stop()
        for part in scene.after:
            self._do(part)
        return self.turnstile.killed.is_set()

    def _do(self, part: str) -> None:
        with self._process(part, self._server.url) as pid:
            self._start()
            self._wait(part, pid)

    @contextlib.contextmanager
    def _process(self, part: str, url: str) -> Iterator[int]:
        start, log = self.folder / "start", self.folder / "log"
        os.mkfifo(start)
        env = {"BATON_CONFIG": str(self.folder / "baton.yaml"), "REDIS_URL": url}
        env |= {"BATON_VAR": str(self.folder / "var"), "HOME": str(self.folder)}
        pid = self._nursery.bear(part=part, env=env, start=str(start), log=str(log))
        try:
            yield pid
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            while lives(pid):
                time.sleep(0.001)
            start.unlink()

    def _start(self) -> None:
        (self.folder / "start").write_bytes(b"now")

    def _wait(self, part: str, pid: int, killed: Callable[[], bool] = lambda: False) -> None:
        """A consumer is done when nothing is left to do; anybody else ends by himself."""
        works = part.startswith("consumer")
        until = time.monotonic() + PATIENCE_S
        while lives(pid) and not killed():
            if works and self.is_done():
                return
            assert time.monotonic() < until, f"{part} does not end: {self.log()}"
            time.sleep(0.005)
        assert killed() or not works, f"it has ended by itself: {self.log()}"

    def is_done(self) -> bool:
        return not any(count for state, count in self.store.counts().items() if state not in FINAL)

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def broken(self) -> list[oracle.Row]:
        """The promises that the oracle finds broken."""
        witness = Witness(self.store.client, self.store.prefix)
        witness.look()
        rows = oracle.judge(evidence.of_baton(self.folder, self.store, witness))
        return [row for row in rows if row.broken]

    def gathered(self) -> bytes | None:
        """What the chord's callback was given, and gave back."""
        return self.store.result((self.folder / "gathered").read_text())


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    own = Nursery()
    yield own
    own.close()


def points(seen: Counter[str]) -> list[Point]:
    """Both sides of every request that a run has made."""
    return [
        Point(kind, number, side)
        for kind, count in sorted(seen.items())
        for number in range(1, count + 1)
        for side in (BEFORE, AFTER)
    ]


def recovery(point: Point) -> Scene:
    """Both ways of getting a lease back, on both sides of the server."""
    return (BACK, REAPED)[(point.number + (point.side is AFTER)) % 2]


def everywhere(
    server: PrivateServer, nursery: Nursery, survey: Scene, choose: Callable[[Point], Scene]
) -> str:
    """Play it whole, then once for each point; which were tried. Fails with the first that broke a promise."""

    def run(number: int, scene: Scene, point: Point | None) -> tuple[Stage, bool]:
        stage = Stage(server, nursery, f"c{number}")
        met = stage.play(scene, point)
        assert not stage.broken(), f"{point}, {scene.after}: {stage.broken()} {stage.log()}"
        if scene is not PRODUCER:
            assert stage.gathered() == b"[2,3]", point
        return stage, met

    run(0, survey, None)  # the server has the scripts from here on
    tried = points(run(1, survey, None)[0].turnstile.seen)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        runs = list(pool.map(run, count(2), map(choose, tried), tried))
    met = Counter(p.kind for p, (_, met) in zip(tried, runs, strict=True) if met)
    missed = Counter(p.kind for p, (_, met) in zip(tried, runs, strict=True) if not met)
    assert set(missed) <= VARYING, f"not met, so not tried: {missed}"
    return f"{met.total()} crash points, {missed.total()} not met: {dict(met)}"


def test_a_consumer_killed_around_any_round_trip_breaks_nothing(
    valkey: PrivateServer, nursery: Nursery, tell: Callable[[str], None]
) -> None:
    tell(f"consumer: {everywhere(valkey, nursery, BACK, recovery)}")


def test_a_producer_killed_around_any_round_trip_breaks_nothing(
    valkey: PrivateServer, nursery: Nursery, tell: Callable[[str], None]
) -> None:
    tell(f"producer: {everywhere(valkey, nursery, PRODUCER, lambda point: PRODUCER)}")
