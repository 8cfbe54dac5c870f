"""What the producers take: a rename until it is submitted, ten thousand files at once, idling, a thousand schedules.

`.venv/bin/python benchmarks/producers.py` (`--help` for the options), after `./baton test` has made the tests'
environment: about two minutes. The processes are the real ones on a private server with appendfsync always;
times are those of the server's event stream against this machine's clock, to the millisecond. The plain way
beside it: watchdog's observer whose handler enqueues with Huey, on the same kind of server.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)  # not this folder, where `import queue` would find a benchmark

from durable.records import State  # noqa: E402  # after the path is set
from producers.ticks import read_place  # noqa: E402  # after the path is set
from tests.conftest import wait_until  # noqa: E402
from tests.site import Site  # noqa: E402

_TICK = os.sysconf("SC_CLK_TCK")


def main() -> None:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # through every `finally`
    _measured(lambda folder: latency(folder, options.renames))
    _measured(lambda folder: burst(folder, options.files))
    _measured(lambda folder: plain(folder, options.files))
    _measured(lambda folder: idle(folder, options.idle_seconds))
    _measured(lambda folder: lateness(folder, options.schedules))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--renames", type=int, default=300)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--idle-seconds", type=float, default=20.0)
    parser.add_argument("--schedules", type=int, default=1000)
    return parser.parse_args()


def _measured(act: Callable[[Path], str]) -> None:
    with tempfile.TemporaryDirectory(prefix="bp-") as name:
        print(act(Path(name)), flush=True)


def _site(folder: Path, **config: Any) -> Site:
    site = Site(folder, config)
    site.start("redis")
    return site


def _inbox(settle: float = 0) -> dict[str, Any]:
    return {"inbox": {"path": "Inbox", "settle": settle, "prompt": "file {{ name }}"}}


def _submitted_ms(site: Site) -> list[int]:
    """When each submit was, in the order of the server's event stream."""
    rows: Any = site.store.client.xrange("{baton}:events")
    return [int(at.partition(b"-")[0]) for at, row in rows if row[b"event"] == b"submitted"]


def _percentiles(values: Sequence[float]) -> str:
    cut = statistics.quantiles(values, n=100)
    return f"p50 {cut[49]:.1f} ms, p99 {cut[98]:.1f} ms, most {max(values):.1f} ms"


def latency(folder: Path, count: int) -> str:
    """From the rename into the folder until the server has the task."""
    site = _site(folder, watchers=_inbox())
    try:
        site.start("watch", "inbox")
        dropped: list[float] = []
        for number in range(count):
            draft = folder / "draft"
            draft.write_text(str(number))
            dropped.append(time.time() * 1000)
            draft.rename(folder / "Inbox" / f"f{number}")
            time.sleep(0.05)
        wait_until(lambda: len(_submitted_ms(site)) == count, 30, "all are submitted")
        late = [at - was for at, was in zip(_submitted_ms(site), dropped, strict=True)]
        return f"rename to submitted, settle 0, {count} files: {_percentiles(late)}"
    finally:
        site.close()


def burst(folder: Path, count: int) -> str:
    """Files that are moved in at once, until the last is submitted."""
    site = _site(folder, watchers=_inbox())
    try:
        process = site.start("watch", "inbox")
        begun, cpu_s = _move_in(folder, count), _cpu_s(process.pid)
        queued = lambda: site.store.counts()[State.QUEUED]  # noqa: E731
        wait_until(lambda: queued() >= count, 120, "all are submitted")
        wall_s, cpu_s = time.monotonic() - begun, _cpu_s(process.pid) - cpu_s
        return f"{count} files at once: {wall_s:.1f} s until all are tasks, {cpu_s:.1f} s CPU of the watcher"
    finally:
        site.close()


def _move_in(folder: Path, count: int) -> float:
    """The moment at which the first of them was moved."""
    (folder / "made").mkdir()
    for number in range(count):
        (folder / "made" / f"f{number}").write_text(str(number))
    begun = time.monotonic()
    for number in range(count):
        (folder / "made" / f"f{number}").rename(folder / "Inbox" / f"f{number}")
    return begun


_PLAIN = """
import sys, time
from huey import RedisHuey
from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer
huey = RedisHuey("plain", url=sys.argv[1])
@huey.task()
def work(path): ...
class Handler(FileSystemEventHandler):
    def on_created(self, event): work(event.src_path)
    def on_moved(self, event): work(event.dest_path)
observer = Observer()
observer.schedule(Handler(), sys.argv[2])
observer.start()
print("ready", flush=True)
time.sleep(3600)
"""


def plain(folder: Path, count: int) -> str:
    """The same with watchdog and Huey alone: what arrives, and when nothing more does."""
    site = _site(folder)
    (folder / "Inbox").mkdir()
    words = [sys.executable, "-c", _PLAIN, site.settings.redis.url, str(folder / "Inbox")]
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        begun, client = _move_in(folder, count), site.store.client
        arrived, still = 0, time.monotonic()
        while time.monotonic() - still < 5 and arrived < count:
            time.sleep(0.05)
            if (now := int(client.llen("huey.redis.plain"))) != arrived:
                arrived, still = now, time.monotonic()
        lost = count - arrived
        return f"beside it, watchdog and Huey alone: {arrived} arrived in {still - begun:.1f} s, {lost} lost"
    finally:
        process.kill()
        process.wait()
        site.close()


def idle(folder: Path, seconds: float) -> str:
    """CPU and memory of each producer with nothing to do."""
    site = _site(
        folder,
        watchers=_inbox(2),
        pollers={"issues": {"every": "5m", "command": ["true"], "prompt": "x"}},
        schedules={"monday": {"cron": "0 9 * * 1", "prompt": "x"}},
    )
    try:
        pairs = (("watch", "inbox"), ("poll", "issues"), ("scheduler", ""))
        pids = {role: site.start(role, name).pid for role, name in pairs}
        time.sleep(2)
        before = {role: _cpu_s(pid) for role, pid in pids.items()}
        time.sleep(seconds)
        parts = [
            f"{role} {100 * (_cpu_s(pid) - before[role]) / seconds:.2f} % of a core, {_pss_mib(pid):.0f} MiB"
            for role, pid in pids.items()
        ]
        return f"idle for {seconds:g} s (CPU to 0.05 %, PSS): {'; '.join(parts)}"
    finally:
        site.close()


def lateness(folder: Path, count: int) -> str:
    """A thousand schedules of the same minute: how late the first and the last of them are."""
    entry = {"cron": "* * * * *", "prompt": "x", "overlap": "allow"}
    site = _site(folder, schedules={f"s{number}": entry for number in range(count)})
    try:
        site.start("scheduler")
        queued = lambda: site.store.counts()[State.QUEUED]  # noqa: E731
        wait_until(lambda: queued() >= count, 90, "all have fired")
        nominal_ms = read_place(site.store.read_cursor("schedule:s0")).at.timestamp() * 1000
        late = [at - nominal_ms for at in _submitted_ms(site)[:count]]
        return f"{count} schedules of one minute, after their time: {_percentiles(late)}"
    finally:
        site.close()


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def _pss_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    main()
