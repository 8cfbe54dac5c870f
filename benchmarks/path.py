"""From a rename into the Inbox to the exec of claude, and what an idle instance costs.

`.venv/bin/python benchmarks/path.py [DROPS] [IDLE_SECONDS]`, after `./baton check` has made `.venv`
whole. A stub takes the place of claude: it notes when it was started and answers at once, so that
only Baton's own part is measured. `settle` is 0 here; the default adds its 2 s.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.conftest import wait_until  # noqa: E402  # after the path is set
from tests.site import Site  # noqa: E402

STUB = """#!/bin/sh
date +%s.%N >> {times}
echo '{{"type":"system","subtype":"init","session_id":"s"}}'
echo '{{"type":"result","subtype":"success","is_error":false,"result":"ok","num_turns":1,"total_cost_usd":0}}'
"""
TICK = os.sysconf("SC_CLK_TCK")


def main(drops: int = 40, idle_s: float = 20.0) -> None:
    folder = Path(tempfile.mkdtemp(prefix="bb-"))
    try:
        site = _site(folder)
        try:
            _latency(site, drops)
            _idle(site, idle_s)
        finally:
            site.close()
    finally:
        shutil.rmtree(folder)


def _site(folder: Path) -> Site:
    stub = folder / "claude"
    stub.write_text(STUB.format(times=folder / "times"))
    stub.chmod(0o755)
    watcher = {
        "path": "Inbox",
        "done": "Done",
        "failed": "Failed",
        "settle": 0,
        "prompt": "{{ path }}",
    }
    site = Site(
        folder, {"consumers": 1, "claude": {"command": str(stub)}, "watchers": {"inbox": watcher}}
    )
    for role, name in (("redis", ""), ("scheduler", ""), ("consumer", "1"), ("watch", "inbox")):
        begun = time.monotonic()
        site.start(role, name)
        print(f"{role:9} ready after {time.monotonic() - begun:5.2f} s")
    return site


def _latency(site: Site, drops: int) -> None:
    times, waits = site.folder / "times", []
    for number in range(drops):
        source = site.folder / f"drop-{number}.txt"
        source.write_text("hello")
        dropped = time.time()
        source.rename(site.folder / "Inbox" / source.name)
        done = site.folder / "Done" / source.name
        wait_until(done.exists, 30, f"{source.name} is done")
        waits.append(1000 * (float(times.read_text().split()[-1]) - dropped))
    waits.sort()
    print(
        f"rename to exec of claude: p50 {statistics.median(waits):.0f} ms, "
        f"p90 {waits[int(0.9 * len(waits))]:.0f} ms, max {waits[-1]:.0f} ms ({drops} drops)"
    )


def _idle(site: Site, seconds: float) -> None:
    before = {label: _cpu(process.pid) for label, process in site.processes.items()}
    time.sleep(seconds)
    for label, process in site.processes.items():
        used = (_cpu(process.pid) - before[label]) / TICK / seconds
        print(
            f"{label:14} idle: {100 * used:.2f} % of a core, {_resident_mb(process.pid):.0f} MB resident"
        )


def _cpu(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
