"""A cancel is obeyed within a second or so, wherever the task stands. Conditions are asserted, times printed."""

import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from durable.connect import connect
from durable.records import Record, State
from durable.store import LeaseStore
from tests.acceptance.claude_site import (
    ClaudeSite,
    bash,
    claude_settings,
    dotenv,
    marked,
    say,
    script,
)
from tests.acceptance.standin_process import StandInProcess, standin
from tests.conftest import ROOT, wait_until

#: Tasks that are cancelled in the moment in which a consumer takes them.
RACES = 3


@pytest.fixture(scope="module")
def api() -> Iterator[StandInProcess]:
    with standin() as running:
        yield running


class TimedSite(ClaudeSite):
    """Tells how long things took."""

    tell: Callable[[str], None] = staticmethod(print)


@pytest.fixture(scope="module")
def whole_site(api: StandInProcess) -> Iterator[TimedSite]:
    with tempfile.TemporaryDirectory(prefix="bt-") as folder:
        dotenv(Path(folder), api)
        own = TimedSite(Path(folder), {"consumers": 2, "claude": claude_settings()})
        own.start("redis")
        yield own
        own.close()


@pytest.fixture
def site(whole_site: TimedSite, tell: Callable[[str], None]) -> TimedSite:
    """One site for all tests here, each of which finds its consumer 1 alive."""
    whole_site.tell = tell
    if "consumer-1" not in whole_site.processes:
        whole_site.start("consumer", "1")
    return whole_site


@pytest.fixture
def elsewhere(site: TimedSite) -> LeaseStore:
    """A client that shares nothing with the consumer but the server, as another machine has it."""
    return LeaseStore(connect(site.settings.redis.url), site.store.prefix)


def running(site: TimedSite, prompt: str = script(bash("true; sleep 600"), say("done"))) -> str:
    """A task whose claude is at its tool."""
    task_id = site.submit(prompt)
    stream = site.attempt(task_id) / "stream.jsonl"
    wait_until(lambda: stream.exists() and b"tool_use" in stream.read_bytes(), 40, "the tool runs")
    return task_id


def record(site: TimedSite, task_id: str) -> Record:
    found = site.store.record(task_id)
    assert found
    return found


def cancelled(site: TimedSite, task_id: str, begun: float, what: str) -> None:
    """Wait until the record says so; nothing of the task lives then."""
    wait_until(lambda: record(site, task_id).state is State.CANCELLED, 20, f"{what} is cancelled")
    took = time.monotonic() - begun
    assert not marked(f"BATON_ATTEMPT={task_id}")
    site.tell(f"{what}: cancelled after {took:.3f} s")


def test_a_cancel_is_obeyed_soon_wherever_the_task_stands(
    site: TimedSite, elsewhere: LeaseStore
) -> None:
    busy = running(site)
    queued = site.submit(script(say("not to be said")))
    later = site.submit("later", delay=3600)
    for task_id, state in ((queued, State.QUEUED), (later, State.SCHEDULED)):
        begun = time.monotonic()
        assert elsewhere.cancel(task_id) is state
        cancelled(site, task_id, begun, f"{state} beside a busy consumer")
        assert not site.attempt(task_id).exists()
    begun = time.monotonic()
    assert elsewhere.cancel(busy) is State.RUNNING
    wait_until((site.attempt(busy) / "exit.json").exists, 20, "claude is gone")
    site.tell(f"running: claude and all it started gone after {time.monotonic() - begun:.3f} s")
    cancelled(site, busy, begun, "running")
    assert record(site, busy).outcome == "cancelled"


def test_a_cancel_in_the_moment_of_the_claim_is_heard(
    site: TimedSite, elsewhere: LeaseStore
) -> None:
    """A gate that opens is what sends a task to its consumer at a moment that we know."""
    for _ in range(RACES):
        elsewhere.close_gate("all", "pause", by="test", why="until the race")
        task_id = site.submit(script(bash("true; sleep 600"), say("done")))
        elsewhere.open_gate("pause")
        wait_ms = random.uniform(0, 10)
        time.sleep(wait_ms / 1000)
        begun = time.monotonic()
        found = elsewhere.cancel(task_id)
        cancelled(site, task_id, begun, f"{found}, {wait_ms:.0f} ms after the gate opened")


def test_a_cancel_outlives_a_redis_that_is_killed_right_after_it(site: TimedSite) -> None:
    task_id = running(site)
    site.store.cancel(task_id)
    site.kill("redis")
    site.start("redis")
    cancelled(site, task_id, time.monotonic(), "running, its Redis killed and back")


def test_on_its_own_machine_a_run_is_stopped_although_its_consumer_is_frozen(
    site: TimedSite,
) -> None:
    task_id = running(site)
    frozen = site.processes["consumer-1"]
    frozen.send_signal(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-P", "-m", "cli", "cancel", task_id],
            env=site.env | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert "is stopped; consumer-1 does not answer" in done.stdout, done.stderr
        wait_until((site.attempt(task_id) / "exit.json").exists, 12, "claude is gone")
        site.tell(
            f"running, its consumer frozen: claude gone after {time.monotonic() - begun:.1f} s"
        )
        assert '"cancelled"' in (site.attempt(task_id) / "exit.json").read_text()
        assert not marked(f"BATON_ATTEMPT={task_id}")
    finally:
        frozen.send_signal(signal.SIGCONT)
    cancelled(site, task_id, time.monotonic(), "the same, its consumer awake again")


def test_a_cancel_reaches_a_run_whose_consumer_is_dead(site: TimedSite) -> None:
    """An idle consumer takes the run over and stops it."""
    task_id = running(site)
    site.kill("consumer-1")
    begun = time.monotonic()
    site.store.cancel(task_id)
    site.start("consumer", "2")
    cancelled(site, task_id, begun, "running, its consumer dead")
