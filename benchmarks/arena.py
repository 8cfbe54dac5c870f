"""What a queue is measured in: a private server of its own, its client and worker processes, their costs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import redis

from benchmarks.drive import SLOTS, Board
from durable import server

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


class Peer(NamedTuple):
    """A queue under test: its name in the table, its file in peers/, and whose Python runs it."""

    label: str
    file: str
    python: str
    flavour: str = ""


@contextlib.contextmanager
def private_server(folder: Path, fsync: str) -> Iterator[str]:
    """A server as Baton starts its own, but for the setting of fsync; yields its URL."""
    socket = folder / "redis.sock"
    file = server.prepare(folder, socket, server.find_binary())
    file.write_text(file.read_text().replace("appendfsync always", f"appendfsync {fsync}"))
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen([server.find_binary().path, str(file)], stdout=log, stderr=log)
    try:
        wait_for(lambda: server.answers(socket), 20, "the server answers")
        yield f"unix://{socket}"
    finally:
        process.kill()
        process.wait()


class Arena:
    """One queue on one private server: orders to its client, workers to stop and go."""

    def __init__(self, peer: Peer, folder: Path, url: str) -> None:
        self.peer, self.folder, self.url = peer, folder, url
        self.redis = redis.Redis.from_url(url)
        self._board_file = folder / "board"
        self.board = Board.create(self._board_file)
        self._workers: list[subprocess.Popen[str]] = []
        self._slots = 0
        self._client = self._start("client", stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    @classmethod
    @contextlib.contextmanager
    def of(cls, peer: Peer, fsync: str) -> Iterator[Arena]:
        """An arena from the start of its server to the end of all its processes."""
        with (
            tempfile.TemporaryDirectory(prefix="bq-") as name,
            private_server(Path(name), fsync) as url,
        ):
            arena = cls(peer, Path(name), url)
            try:
                yield arena
            finally:
                arena.close()

    def _start(self, role: str, **streams: Any) -> subprocess.Popen[str]:
        slot, self._slots = self._slots, self._slots + 1
        assert slot < SLOTS
        words = [str(HERE / "peers" / self.peer.file), role, self.url, str(self._board_file)]
        env = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LANG": "C.UTF-8"}
        if self.peer.file == "baton.py":
            env["PYTHONPATH"] = str(ROOT)
        with self._log().open("ab") as log:
            return subprocess.Popen(
                [self.peer.python, "-P", str(HERE / "drive.py"), *words, str(slot)]
                + ([self.peer.flavour] if self.peer.flavour else []),
                **({"stdout": log, "stdin": subprocess.DEVNULL} | streams),
                stderr=log,
                env=env,
                cwd=self.folder,
                text=True,
                start_new_session=True,
            )

    def _log(self) -> Path:
        return self.folder / "log"

    def close(self) -> None:
        self.kill_workers()
        _kill(self._client)

    # -- the client

    def order(self, verb: str, number: int) -> Any:
        """Let the client do something; its answer. Raises RuntimeError with the log when it ended."""
        _pipe(self._client.stdin).write(json.dumps([verb, number]) + "\n")
        _pipe(self._client.stdin).flush()
        line = _pipe(self._client.stdout).readline()
        if not line:
            raise RuntimeError(f"the client ended: {self.complaint()}")
        return json.loads(line)

    def fill(self, number: int) -> None:
        """Put tasks in as fast as the library can."""
        if self.order("batch", number) is None:
            self.order("one", number)

    def complaint(self) -> str:
        """The last line of the log."""
        lines = self._log().read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "nothing was logged"

    # -- the workers

    def start_workers(self, number: int) -> None:
        """Start them, and wait until each has run a task."""
        for _ in range(number):
            self._workers.append(self._start("worker"))
        deadline = time.monotonic() + 40
        while any(self.board.count_of(slot) == 0 for slot in self._worker_slots()):
            if time.monotonic() > deadline or any(w.poll() is not None for w in self._workers):
                raise RuntimeError(f"a worker does not start: {self.complaint()}")
            self.order("one", len(self._workers))
            time.sleep(0.1)
        self.until_idle()

    def _worker_slots(self) -> range:
        return range(1, self._slots)

    def until_idle(self) -> None:
        """Until no task has run for half a second."""
        seen, since = self.board.count(), time.monotonic()
        while time.monotonic() - since < 0.6:
            time.sleep(0.05)
            if self.board.count() != seen:
                seen, since = self.board.count(), time.monotonic()

    def kill_workers(self) -> None:
        for worker in self._workers:
            _kill(worker)
        self._workers = []

    def stop(self) -> None:
        self._signal(signal.SIGSTOP)

    def _signal(self, which: int) -> None:
        for worker in self._workers:
            os.killpg(worker.pid, which)

    def drain(self, number: int, within_s: float = 15.0) -> float:
        """Let the stopped workers go until `number` more tasks have run, or time is up: tasks a second."""
        before, begun = self.board.count(), time.monotonic_ns()
        until = time.monotonic() + within_s
        self._signal(signal.SIGCONT)
        while (done := self.board.count() - before) < number and time.monotonic() < until:
            time.sleep(0.002)
        latest = self.board.latest_ns()
        self.stop()
        return done / ((latest - begun) / 1e9) if done else 0.0

    # -- costs

    def memory(self) -> int:
        """Bytes that the server's data take."""
        info: Any = self.redis.info("memory")
        return int(info["used_memory"])

    def idle_cpu(self, seconds: float) -> float:
        """Share of a core, in percent, that the workers take while nothing is to be done."""
        before = sum(_cpu_ns(w.pid) for w in self._workers)
        time.sleep(seconds)
        return (sum(_cpu_ns(w.pid) for w in self._workers) - before) / seconds / 1e7


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def _kill(process: subprocess.Popen[str]) -> None:
    """The process and what it forked: all of its session's group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _cpu_ns(session: int) -> int:
    """CPU time of all threads of all processes of a session, in ns (Linux's schedstat)."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[3]) != session:
                continue
            for part in stat.parent.glob("task/*/schedstat"):
                total += int(part.read_text().split()[0])
    return total


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> None:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise RuntimeError(f"not within {seconds} s: {what}")
        time.sleep(0.01)
