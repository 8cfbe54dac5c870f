"""A run outlives its consumer: adopted after SIGKILL, a restart and by another consumer; resumed when it is lost."""

import json
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from durable.records import Record, State
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
from tests.conftest import wait_until

#: Moments of the run at which its consumer is killed.
KILLS = 10


@pytest.fixture(scope="module")
def api() -> Iterator[StandInProcess]:
    with standin() as running:
        yield running


@pytest.fixture
def site(short_tmp: Path, api: StandInProcess) -> Iterator[ClaudeSite]:
    dotenv(short_tmp, api)
    own = ClaudeSite(short_tmp, {"consumers": 2, "claude": claude_settings(max_budget_usd=1)})
    own.start("redis")
    own.start("consumer", "1")
    yield own
    own.close()


def steps(counter: Path, number: int, seconds: float = 0.4) -> str:
    """A prompt with so many tool calls, each of which leaves one line."""
    calls = [bash(f"echo {n} >> {counter}; sleep {seconds}; true") for n in range(number)]
    return script(*calls, say("all done"))


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


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside an idle one"])
def test_a_run_goes_on_through_kills_of_its_consumer_at_random_moments(
    site: ClaudeSite, beside: bool
) -> None:
    """Beside an idle one both may try to take it over: one of them does, and the other lets it be."""
    if beside:
        site.start("consumer", "2")
    counter = site.folder / "counter"
    task_id = site.submit(steps(counter, 3 * KILLS))
    running(site, task_id)
    for _ in range(KILLS):
        time.sleep(random.uniform(0, 1.5))
        record = site.store.record(task_id)
        assert record is not None
        if record.state is not State.RUNNING:
            break
        _, role, number = record.owner.replace(":", "-").rsplit("-", 2)
        site.kill(f"{role}-{number}")
        time.sleep(random.uniform(0, 2.5) if beside else 0)
        site.start(role, number)
    done_once(site, task_id, counter, 3 * KILLS)
    assert events(site, task_id)["adopted"] >= 3
    whole = (site.attempt(task_id) / "stream.jsonl").read_text().splitlines()
    kinds = [json.loads(line)["type"] for line in whole]  # every line whole, and one run in it
    assert kinds.count("result") == 1
    assert kinds.count("assistant") == 3 * KILLS + 1


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


def test_a_run_that_nobody_takes_over_ends_by_itself_and_is_resumed(site: ClaudeSite) -> None:
    counter = site.folder / "counter"
    task_id = site.submit(steps(counter, 60))
    running(site, task_id)
    site.kill("consumer-1")
    wait_until((site.attempt(task_id) / "exit.json").exists, 40, "its deadline is over")
    assert not marked(f"BATON_ATTEMPT={task_id}")
    site.start("consumer", "1")
    running(site, task_id, 2)
    record = site.store.record(task_id)
    assert record is not None
    assert (record.attempt, record.counted) == (2, 0)
    assert_resumed(site, task_id, 2, "no consumer held it")
    site.store.cancel(task_id)
    site.finish(task_id)


def assert_resumed(site: ClaudeSite, task_id: str, number: int, what: str) -> None:
    folder = site.attempt(task_id, number)
    first = json.loads((site.attempt(task_id, number - 1) / "command.json").read_text())
    argv = json.loads((folder / "command.json").read_text())["argv"]
    session = next(
        word.partition("=")[2] for word in first["argv"] if word.startswith("--session-id")
    )
    assert f"--resume={session}" in argv
    told = (folder / "prompt.md").read_text()
    assert what in told
    assert "STANDIN" in told


def test_after_a_crash_the_next_attempt_goes_on_in_the_session(site: ClaudeSite) -> None:
    counter, go = site.folder / "counter", site.folder / "go"
    first, second = (
        bash(f"echo first >> {counter}"),
        bash(f"test -e {go} || sleep 600; echo x >> {counter}"),
    )
    task_id = site.submit(script(first, second, say("all done")))
    wait_until(counter.exists, 40, "the first step is done")
    time.sleep(1.5)
    kill_claude(site, task_id)
    go.touch()
    hasten(site, task_id)
    record = site.finish(task_id)
    assert (record.state, record.attempt, record.counted) == (State.SUCCEEDED, 2, 1)
    assert counter.read_text().split() == ["first", "x"]  # what was done is not done again
    assert_resumed(site, task_id, 2, "SIGKILL")


def test_a_session_that_is_gone_is_begun_afresh_and_costs_no_attempt(site: ClaudeSite) -> None:
    go = site.folder / "go"
    task_id = site.submit(script(bash(f"test -e {go} || sleep 600"), say("all done")))
    running(site, task_id)
    time.sleep(2)
    kill_claude(site, task_id)
    site.wait_for(task_id, State.SCHEDULED)
    for projects in site.folder.rglob(".claude/projects"):
        shutil.rmtree(projects)
    go.touch()
    site.store.hasten(task_id)
    record = site.finish(task_id)
    assert (record.state, record.attempt, record.counted) == (State.SUCCEEDED, 3, 1)
    told = (site.attempt(task_id, 3) / "prompt.md").read_text()
    assert told.startswith("STANDIN")


def test_rerun_begins_afresh_after_a_crash(site: ClaudeSite) -> None:
    go = site.folder / "go"
    prompt = script(bash(f"test -e {go} || sleep 600"), say("all done"))
    task_id = site.submit(prompt, on_crash="rerun")
    running(site, task_id)
    time.sleep(1)
    kill_claude(site, task_id)
    go.touch()
    hasten(site, task_id)
    assert site.finish(task_id).state is State.SUCCEEDED
    assert (site.attempt(task_id, 2) / "prompt.md").read_text() == prompt


def kill_claude(site: ClaudeSite, task_id: str) -> None:
    """SIGKILL to claude itself, which the runner survives."""
    runner = json.loads((site.attempt(task_id) / "runner.json").read_text())["pid"]
    children = Path(f"/proc/{runner}/task/{runner}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)


def hasten(site: ClaudeSite, task_id: str) -> None:
    """The pause before a retry is not waited for."""
    site.wait_for(task_id, State.SCHEDULED)
    site.store.hasten(task_id)
