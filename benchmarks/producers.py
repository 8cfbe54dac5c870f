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

from benchmarks import plain_watcher  # noqa: E402  # after the path is set
from durable.records import State  # noqa: E402  # after the path is set
from producers.ticks import read_place  # noqa: E402  # after the path is set
from tests.conftest import wait_until  # noqa: E402
from tests.site import Site  # noqa: E402

_TICK = os.sysconf("SC_CLK_TCK")


def main() -> None:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # through every `finally`
    _measured(lambda folder: latency(folder, options.renames, settle_s=0))
    _measured(lambda folder: latency(folder, options.renames // 5, settle_s=2))
    _measured(lambda folder: burst(folder, options.files))
    _measured(lambda folder: plain(folder, options.files))
    _measured(lambda folder: killed(folder, options.files // 10))
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


def latency(folder: Path, count: int, settle_s: float) -> str:
    """From the rename into the folder until the server has the task, but for `settle` itself."""
    site = _site(folder, watchers=_inbox(settle_s))
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
        pairs = zip(_submitted_ms(site), dropped, strict=True)
        late = [at - was - settle_s * 1000 for at, was in pairs]
        over = f"settle {settle_s:g} and beyond it" if settle_s else "settle 0"
        return f"rename to submitted, {over}, {count} files: {_percentiles(late)}"
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


def plain(folder: Path, count: int) -> str:
    """The same with watchdog and Huey alone: what arrives, and when nothing more does."""
    site = _site(folder)
    (folder / "Inbox").mkdir()
    process = plain_watcher.start(site.settings.redis.url, folder / "Inbox")
    try:
        begun = _move_in(folder, count)
        arrived, last = plain_watcher.until_still(lambda: _plainly_queued(site), count)
        told = f"{arrived} arrived in {last - begun:.1f} s, {count - arrived} lost"
        return f"beside it, watchdog and Huey alone: {told}"
    finally:
        process.kill()
        process.wait()
        site.close()


def killed(folder: Path, count: int) -> str:
    """Files that come while the watcher is killed and started again, three times: what each way makes of them."""
    found = {}
    for way in ("Baton", "watchdog and Huey alone"):
        own = folder / way[0]
        (own / "Inbox").mkdir(parents=True)
        site = _site(own, watchers=_inbox())
        plainly = way != "Baton"
        try:
            found[way] = _killed(site, count, plainly)
        finally:
            site.close()
    told = "; ".join(f"{way} lost {count - n} of {count}" for way, n in found.items())
    return f"the watcher killed three times meanwhile: {told}"


def _killed(site: Site, count: int, plainly: bool) -> int:
    def begin() -> subprocess.Popen[bytes]:
        inbox = site.folder / "Inbox"
        if plainly:
            return plain_watcher.start(site.settings.redis.url, inbox)
        return site.start("watch", "inbox")

    process, draft = begin(), site.folder / "draft"
    for number in range(count):
        draft.write_text(str(number))
        draft.rename(site.folder / "Inbox" / f"f{number}")
        time.sleep(0.005)  # a stream, which either way keeps up with
        if number % (count // 4) == count // 5:
            process.kill()
            process.wait()
        elif number % (count // 4) == count // 4 - 1:
            process = begin()
    queued = _plainly_queued if plainly else lambda site: site.store.counts()[State.QUEUED]
    arrived, _ = plain_watcher.until_still(lambda: queued(site), count)
    process.kill()
    process.wait()
    return arrived


def _plainly_queued(site: Site) -> int:
    return int(site.store.client.llen(plain_watcher.QUEUE))


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
