"""SIGKILL of a consumer under a real PM2, again and again in one run of claude: how soon it has its run again."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from cli.locks import holder, lock_path
from tests.acceptance.claude_site import ClaudeSite, bash, claude_settings, dotenv, say, script
from tests.acceptance.pm2_site import Pm2Site
from tests.acceptance.standin_process import standin
from tests.conftest import wait_until

APP = "baton-consumer-1"
#: Longer than all kills take; each tool call stays below the CLI's own limit, and a plain `sleep` it refuses.
_LONG = script(*[bash("test -e /nowhere || sleep 90")] * 10, say("done"))
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class Takeover(NamedTuple):
    """From the kill until the new copy follows the run."""

    stages: dict[str, float]

    @property
    def total_ms(self) -> float:
        return sum(self.stages.values())


class _Site(ClaudeSite, Pm2Site):
    """Under PM2, with claude."""


def run_takeovers(number: int) -> list[Takeover]:
    """Each from PM2's first pause: `pm2 restart` in between takes its back-off back."""
    with tempfile.TemporaryDirectory(prefix="ba-") as name, _site(Path(name)) as site:
        task_id = site.submit(_LONG)
        stream = site.attempt(task_id) / "stream.jsonl"
        wait_until(
            lambda: stream.exists() and b"tool_use" in stream.read_bytes(), 60, "a tool runs"
        )
        found = []
        for _ in range(number):
            found.append(_kill(site, task_id))
            before = _noted(site)
            site.raw_pm2("restart", APP)
            wait_until(lambda b=before: _noted(site) not in (None, b), 30, "it follows its run")  # type: ignore[misc]
        site.store.cancel(task_id)
        site.finish(task_id)
        return found


@contextmanager
def _site(folder: Path) -> Iterator[_Site]:
    with standin() as api:
        dotenv(folder, api)
        site = _Site(folder, {"consumers": 1, "claude": claude_settings()})
        try:
            status, out, errors = site.call("up")
            assert status == 0, out + errors
            yield site
        finally:
            site.close()


def _kill(site: _Site, task_id: str) -> Takeover:
    lock = lock_path(site.folder / "var", APP)
    first, noted = site.ready(APP), _noted(site)
    assert first
    killed = time.time()
    os.kill(first, signal.SIGKILL)
    locked = _when(lambda: (h := holder(lock)) and h.pid != first)
    started = _started(holder(lock).pid)  # type: ignore[union-attr]  # it was just seen
    ready = _when(lambda: holder(lock).ready)  # type: ignore[union-attr]
    followed = _when(lambda: _noted(site) not in (None, noted))
    adopted = _adopted(site, task_id)
    marks = {
        "kill → PM2 has started a process": started,
        "Python, imports, settings → lock": locked,
        "consumer's imports, Redis → adopted": adopted,
        "ready": max(ready, adopted),
        "the run is followed": max(followed, ready),
    }
    times = [killed, *marks.values()]
    return Takeover(
        {
            name: 1000 * (after - before)
            for name, before, after in zip(marks, times, times[1:], strict=False)
        }
    )


def _when(condition: Any) -> float:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.002)
    return time.time()


def _noted(site: _Site) -> str | None:
    """What the consumer notes when it follows a run; each adoption has a token of its own."""
    try:
        return (site.folder / "var" / "runs" / "consumer-1.json").read_text()
    except FileNotFoundError:
        return None


def _started(pid: int) -> float:
    """When the process began, Unix seconds, to 10 ms."""
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks * _TICK_S


def _adopted(site: _Site, task_id: str) -> float:
    entries: Any = site.store.client.xrevrange(site.store.prefix + "events", count=50)
    return next(
        int(number.split(b"-")[0]) / 1000
        for number, fields in entries
        if fields[b"event"] == b"adopted" and fields[b"id"].decode() == task_id
    )
