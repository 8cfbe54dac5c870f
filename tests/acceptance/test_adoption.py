"""A run outlives its consumer: adopted after SIGKILL, a restart and by another consumer."""

import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from consumers import times
from durable.records import Record, State
from tests.acceptance.claude_cli import find_claude
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
from tests.acceptance.test_resume import assert_resumed
from tests.conftest import wait_until

#: Moments of each of the two runs at which its consumer is killed.
KILLS = 5


@pytest.fixture(scope="module")
def api() -> Iterator[StandInProcess]:
    with standin() as running:
        yield running


@pytest.fixture
def site(short_tmp: Path, api: StandInProcess) -> Iterator[ClaudeSite]:
    dotenv(short_tmp, api)
    own = ClaudeSite(short_tmp, {"consumers": 3, "claude": claude_settings(max_budget_usd=1)})
    own.start("redis")
    own.start("consumer", "1")
    yield own
    own.close()


def steps(counter: Path, number: int, seconds: float = 0.4, last: str = "true") -> str:
    """A prompt with so many tool calls, each of which leaves one line; what the last one does besides."""
    calls = [f"echo {n} >> {counter}; sleep {seconds}; true" for n in range(number)]
    calls[-1] += f"; {last}"
    return script(*map(bash, calls), say("all done"))


def running(site: ClaudeSite, task_id: str, attempt: int = 1) -> None:
    stream = site.attempt(task_id, attempt) / "stream.jsonl"
    wait_until(lambda: stream.exists() and stream.stat().st_size, 40, "claude runs")


def events(site: ClaudeSite, task_id: str) -> Counter[str]:
    entries: Any = site.store.client.xrange(site.store.prefix + "events")
    return Counter(f[b"event"].decode() for _, f in entries if f[b"id"].decode() == task_id)


def done_once(site: ClaudeSite, task_id: str, counter: Path, lines: int) -> Record:
    """It succeeded in its first attempt, which saw each step once; nothing of it is left."""
    record = site.finish(task_id)
    assert (record.state, record.attempt, record.counted) == (State.SUCCEEDED, 1, 0)
    assert site.text(task_id) == "all done"
    assert counter.read_text().split() == [str(n) for n in range(lines)]
    assert events(site, task_id)["succeeded"] == 1
    assert not marked(f"BATON_ATTEMPT={task_id}")
    return record


def witnessed(site: ClaudeSite) -> Path:
    """From now on a copy is kept of what claude writes, by somebody who knows nothing of Baton."""
    copy, program = site.folder / "witness.jsonl", site.folder / "witnessed-claude"
    program.write_text(f'#!/bin/bash\nset -o pipefail\n{find_claude()} "$@" | tee -a {copy}\n')
    program.chmod(0o700)
    site.configure({"consumers": 3, "claude": claude_settings(command=str(program))})
    return copy


def turns(api: StandInProcess, site: ClaudeSite, task_id: str) -> list[tuple[int, int]]:
    """Turn and status of each request that a task's session has made."""
    record = site.store.record(task_id)
    assert record is not None
    return [(r["turn"], r["status"]) for r in api.requests() if r["session"] == record.session]


@pytest.mark.parametrize("idle", ["", "23"], ids=["alone", "beside two that are idle"])
def test_a_run_goes_on_through_kills_of_its_consumer_at_random_moments(
    site: ClaudeSite, api: StandInProcess, idle: str, tell: Callable[[str], None]
) -> None:
    """Beside idle ones several may try to take it over: one of them does, and the others let it be."""
    chance = random.Random(seed := random.randrange(10**6))
    tell(f"The consumer is killed at moments of seed {seed}.")
    copy = witnessed(site)
    site.stop("consumer-1")
    for number in "1" + idle:
        site.start("consumer", number)
    counter, go = site.folder / "counter", site.folder / "go"
    number_of_steps = 2 * KILLS
    task_id = site.submit(
        steps(counter, number_of_steps, last=f"while ! test -e {go}; do sleep 0.1; done")
    )
    running(site, task_id)
    for _ in range(KILLS):
        time.sleep(chance.uniform(0, 1.2))
        record = site.store.record(task_id)
        assert record is not None
        _, role, number = record.owner.replace(":", "-").rsplit("-", 2)
        site.kill(f"{role}-{number}")
        time.sleep(chance.uniform(0, 2.5) if idle else 0)
        site.start(role, number)
    go.touch()
    record = done_once(site, task_id, counter, number_of_steps)
    assert events(site, task_id)["adopted"] == KILLS
    stream = (site.attempt(task_id) / "stream.jsonl").read_bytes()
    assert stream == copy.read_bytes()
    lines = [json.loads(line) for line in stream.splitlines()]
    kinds = [line["type"] for line in lines]
    assert kinds.count("result") == 1  # one run is in it, and it was read to its end
    assert kinds.count("assistant") == number_of_steps + 1
    assert record.cost_usd == pytest.approx(lines[-1]["total_cost_usd"])
    undisturbed = site.submit(steps(site.folder / "counter-2", number_of_steps, 0))
    site.finish(undisturbed)
    assert turns(api, site, task_id) == turns(api, site, undisturbed)


def test_a_restart_leaves_the_run_alone_and_takes_a_second(site: ClaudeSite) -> None:
    counter = site.folder / "counter"
    task_id = site.submit(steps(counter, 8))
    running(site, task_id)
    begun = time.monotonic()
    assert site.stop("consumer-1") == 0  # SIGINT, as PM2's restart and reload send it
    assert time.monotonic() - begun < 2.0
    assert site.store.record(task_id).state is State.RUNNING  # type: ignore[union-attr]
    assert marked(f"BATON_ATTEMPT={task_id}/1")
    site.start("consumer", "1")
    done_once(site, task_id, counter, 8)
    assert events(site, task_id)["adopted"] == 1


def test_a_restart_while_redis_is_away_keeps_the_run_alive(site: ClaudeSite) -> None:
    counter = site.folder / "counter"
    task_id = site.submit(steps(counter, 50))
    running(site, task_id)
    site.kill("redis")
    site.kill("consumer-1")
    site.launch("consumer", "1")
    time.sleep(18)  # longer than a runner lives without a word
    assert not (site.attempt(task_id) / "exit.json").exists()
    site.start("redis")
    done_once(site, task_id, counter, 50)
    assert events(site, task_id)["adopted"] == 1


def test_another_consumer_takes_over_when_the_first_stays_away(site: ClaudeSite) -> None:
    counter = site.folder / "counter"
    task_id = site.submit(steps(counter, 20, 0.6))
    running(site, task_id)
    site.start("consumer", "2")
    site.kill("consumer-1")
    wait_until(lambda: events(site, task_id)["adopted"], 12, "the other one takes over")
    record = done_once(site, task_id, counter, 20)
    assert record.owner.endswith(":consumer-2")


def test_a_run_that_nobody_takes_over_ends_by_itself_and_is_resumed(
    short_tmp: Path, api: StandInProcess
) -> None:
    """The other consumer is busy, and PM2 does not bring the killed one back: at a third of the usual times."""
    dotenv(short_tmp, api)
    config = {"consumers": 2, "claude": claude_settings()}
    site = ClaudeSite(short_tmp, config, {times.SCALE: "0.3"})
    try:
        for role, name in (("redis", ""), ("consumer", "1"), ("consumer", "2")):
            site.start(role, name)
        go, counters = site.folder / "go", [site.folder / f"counter-{n}" for n in "12"]
        wait = f"while ! test -e {go}; do sleep 0.1; done"
        tasks = [site.submit(steps(counter, 2, 0, wait)) for counter in counters]
        for counter in counters:
            wait_until(lambda c=counter: c.exists() and c.read_text() == "0\n1\n", 40, "it waits")  # type: ignore[misc]
        tasks.sort(key=lambda task_id: site.store.record(task_id).owner)  # type: ignore[union-attr]
        lost, other = tasks
        begun = time.monotonic()
        site.kill("consumer-1")
        wait_until((site.attempt(lost) / "exit.json").exists, 20, "its deadline is over")
        over_s = time.monotonic() - begun
        assert not marked(f"BATON_ATTEMPT={lost}")
        record = site.wait_for(lost, State.QUEUED)
        assert time.monotonic() - begun > over_s  # the run was over before
        assert (record.attempt, record.counted, record.outcome) == (1, 0, "interrupted")
        later = site.submit(steps(site.folder / "counter-3", 1, 0))
        go.touch()
        site.finish(other)
        record = site.finish(lost)
        assert (record.state, record.attempt, record.counted) == (State.SUCCEEDED, 2, 0)
        assert_resumed(site, lost, "no consumer held it")
        assert site.finish(later).started_ms > record.started_ms  # it went to the head
    finally:
        site.close()


def _sleeps(task_id: str) -> bool:
    """Whether the tool of the first attempt has come to its sleep: a step before, it would still see `go`."""
    for pid in marked(f"BATON_ATTEMPT={task_id}/1"):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x00600\x00":
                return True
    return False


def test_a_task_that_is_given_on_while_its_run_lives_waits_for_the_end_of_that(
    site: ClaudeSite,
) -> None:
    """A lease is given on only long after its runner's deadline; here it is, although the consumer lives."""
    site.start("consumer", "2")
    go, counter = site.folder / "go", site.folder / "counter"
    task_id = site.submit(steps(counter, 2, 0, f"test -e {go} || sleep 600"))
    wait_until(lambda: _sleeps(task_id), 40, "it is in its last step")
    go.touch()
    store = site.store
    for word in ("suspected", "requeued"):
        store.client.zadd(store.prefix + "leases", {task_id: 0})
        assert store.reap(0) == [(task_id, word)]
    record = site.finish(task_id)
    assert (record.state, record.attempt, record.counted) == (State.SUCCEEDED, 2, 0)
    assert_resumed(site, task_id, "another consumer has the task")
    first = json.loads((site.attempt(task_id, 1) / "exit.json").read_text())
    second = json.loads((site.attempt(task_id, 2) / "exit.json").read_text())
    assert first["stopped"] == "lost"
    assert first["ended_at"] <= second["started_at"]
    assert counter.read_text().split().count("0") == 1
