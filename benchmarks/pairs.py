"""The same prompts as bare `claude -p` and through one consumer, in turns: wall, CPU, stages, the runner's memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from consumers import claude
from tests.acceptance.claude_site import ClaudeSite, bash, claude_settings, dotenv, say, script
from tests.acceptance.standin_process import standin
from tests.conftest import wait_until

PROMPT = script(say("The parcel is on its way; it should arrive on Thursday."))
SLOW = script(bash("test -e /nowhere || sleep 3"), say("done"))
CLAUDES = "claude, until nothing of it is left"
_TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")


class Bare(NamedTuple):
    """One `claude -p` by itself."""

    wall_ms: float
    cpu_ms: float


class Through(NamedTuple):
    """One task, from before its submit until its end was heard. A process's own CPU comes in steps of 10 ms."""

    wall_ms: float
    claude_cpu_ms: float
    consumer_cpu_ms: float
    runner_cpu_ms: float
    redis_cpu_ms: float
    stages: dict[str, float]

    @property
    def own_cpu_ms(self) -> float:
        return self.consumer_cpu_ms + self.runner_cpu_ms + self.redis_cpu_ms


class Pair(NamedTuple):
    bare: Bare
    baton: Through


class Size(NamedTuple):
    """Of one process, from smaps_rollup."""

    rss_mib: float
    pss_mib: float


class Memory(NamedTuple):
    runner: Size
    python: Size


def run_pairs(number: int) -> tuple[list[Pair], Memory, str]:
    """`number` pairs after one of each that warms both up; the runner's memory; what `claude --version` says."""
    with tempfile.TemporaryDirectory(prefix="ba-") as name, _site(Path(name)) as site:
        os.environ.update(site.env)
        from tasks import claude as submit  # reads the site's configuration

        _through(site, submit)
        _bare(site)
        pairs = [_pair(site, submit, bare_first=bool(n % 2)) for n in range(number)]
        version = subprocess.run(
            [site.settings.claude_command, "--version"], capture_output=True, text=True, check=True
        )
        return pairs, _memory(site, submit), version.stdout.strip()


@contextmanager
def _site(folder: Path) -> Iterator[ClaudeSite]:
    with standin() as api:
        dotenv(folder, api)
        site = ClaudeSite(folder, {"consumers": 1, "claude": claude_settings()})
        try:
            site.start("redis")
            site.start("consumer", "1")
            yield site
        finally:
            site.close()


def _pair(site: ClaudeSite, submit: Any, *, bare_first: bool) -> Pair:
    if bare_first:
        return Pair(_bare(site), _through(site, submit))
    baton = _through(site, submit)
    return Pair(_bare(site), baton)


def _bare(site: ClaudeSite) -> Bare:
    """With the flags, the environment, the working folder and the files of an attempt."""
    settings, folder = site.settings, site.folder / f"bare-{uuid.uuid4().hex[:8]}"
    (folder / "tmp").mkdir(parents=True)
    (folder / "prompt.md").write_text(PROMPT)
    environ = claude.environment(
        settings.environ, settings.claude.env, str(folder / "tmp"), "bare/1"
    )
    denied = [settings.base / ".env", settings.root / ".env", settings.var]
    found = claude.locate(settings)
    assert isinstance(found, claude.Found)
    argv = claude.argv(str(found.path), settings.claude, str(uuid.uuid4()), denied_paths=denied)
    with (
        (folder / "prompt.md").open("rb") as prompt,
        (folder / "stream.jsonl").open("ab") as stream,
        (folder / "stderr.log").open("ab") as errors,
    ):
        begun = time.perf_counter()
        process = subprocess.Popen(
            argv, stdin=prompt, stdout=stream, stderr=errors, env=environ, cwd=settings.base,
            start_new_session=True,
        )  # fmt: skip
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, (folder / "stderr.log").read_text()
    return Bare(1000 * wall, 1000 * (used.ru_utime + used.ru_stime))


def _through(site: ClaudeSite, submit: Any) -> Through:
    consumer, redis = site.processes["consumer-1"].pid, site.processes["redis"].pid
    before, redis_before = _cpu_ms(consumer), _cpu_ms(redis)
    begun = time.time()
    result = submit(PROMPT)
    answer = result.get(blocking=True, timeout=60)
    heard = time.time()
    assert answer["text"], answer
    # what the consumer does after the end (its next claim) belongs to the task too
    time.sleep(0.05)
    after = _cpu_ms(consumer)
    folder = site.attempt(result.id)
    ended = json.loads((folder / "exit.json").read_text())
    claude_cpu = 1000 * ended["cpu_s"]
    return Through(
        wall_ms=1000 * (heard - begun),
        claude_cpu_ms=claude_cpu,
        consumer_cpu_ms=after[0] - before[0],
        runner_cpu_ms=after[1]
        - before[1]
        - claude_cpu,  # the consumer waits for the runner, it for claude
        redis_cpu_ms=_cpu_ms(redis)[0] - redis_before[0],
        stages=_stages(begun, heard, site.store.record(result.id), folder, ended),
    )


def _stages(
    begun: float, heard: float, record: Any, folder: Path, ended: dict[str, Any]
) -> dict[str, float]:
    """Between marks that the attempt leaves; the server's own are whole milliseconds."""
    marks = {
        "submit → claimed": record.started_ms / 1000,
        "prepare → command.json": (folder / "command.json").stat().st_mtime,
        "start the runner's Python": ended["started_at"],
        "runner → claude started": (folder / "stderr.log").stat().st_mtime,  # it stays empty
        CLAUDES: ended["ended_at"],
        "exit.json on disk": (folder / "exit.json").stat().st_ctime,
        "conclude and settle": record.finished_ms / 1000,
        "the end is heard": heard,
    }
    times = [begun, *marks.values()]
    return {
        name: 1000 * (after - before)
        for name, before, after in zip(marks, times, times[1:], strict=False)
    }


def _cpu_ms(pid: int) -> tuple[float, float]:
    """A process's own CPU, and that of the children it has waited for, with theirs."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own, waited = sum(map(int, fields[11:13])), sum(map(int, fields[13:15]))
    return own * _TICK_MS, waited * _TICK_MS


def _memory(site: ClaudeSite, submit: Any) -> Memory:
    result = submit(SLOW)
    stream, ours = site.attempt(result.id) / "stream.jsonl", site.attempt(result.id) / "runner.json"
    wait_until(lambda: stream.exists() and b'"tool_use"' in stream.read_bytes(), 60, "a tool runs")
    python = subprocess.Popen(
        [
            sys.executable,
            "-I",
            "-S",
            "-X",
            "utf8",
            "-c",
            "import time; print(flush=True); time.sleep(60)",
        ],
        stdout=subprocess.PIPE,
    )
    assert python.stdout
    python.stdout.readline()
    sizes = Memory(_size(json.loads(ours.read_text())["pid"]), _size(python.pid))
    python.kill()
    python.communicate()
    result.get(blocking=True, timeout=60)
    return sizes


def _size(pid: int) -> Size:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return Size(kib["Rss"] / 1024, kib["Pss"] / 1024)
