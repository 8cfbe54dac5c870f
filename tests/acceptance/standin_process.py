"""Starts and stops the stand-in for the Messages API as the process that users would start."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
START_LIMIT_S = 10.0
STOP_LIMIT_S = 5.0


@dataclass(frozen=True)
class StandInProcess:
    """A running stand-in."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        """What ANTHROPIC_BASE_URL is to be."""
        return f"http://127.0.0.1:{self.port}"

    def requests(self, kind: str = "message") -> list[dict[str, Any]]:
        """The requests logged so far; `kind` is message, count_tokens, get or other."""
        if not self.log.exists():
            return []
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [entry for entry in map(json.loads, lines) if entry["kind"] == kind]


@contextmanager
def standin(*args: str, inside: Sequence[str] = ()) -> Iterator[StandInProcess]:
    """Run a stand-in on a free port of loopback, with more of its arguments; it is gone at the end.

    `inside` is a command that runs the rest of its words somewhere else.
    """
    with tempfile.TemporaryDirectory(prefix="baton-standin-") as name:
        folder = Path(name)
        command = [*inside, *_command(folder), *args]
        process = subprocess.Popen(command, cwd=folder, env=_environment())
        try:
            port = _announced(folder / "announce.json", process)
            yield StandInProcess(process, port, folder / "requests.jsonl")
        finally:
            _stop(process)


def _command(folder: Path) -> list[str]:
    where = ["--announce", str(folder / "announce.json"), "--log", str(folder / "requests.jsonl")]
    return [sys.executable, "-P", "-m", "demo.standin", "--port", "0", *where]


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(ROOT)}


def _announced(file: Path, process: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + START_LIMIT_S
    while not file.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the stand-in did not start; exit status {process.poll()}")
        time.sleep(0.005)
    return int(json.loads(file.read_text(encoding="utf-8"))["port"])


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
