"""What attempts cost, with the real CLI: killed ones, resumed ones, and a budget that holds across attempts."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from consumers import bill, folder
from consumers.stream import Summary
from durable.costs import total_usd
from durable.records import State
from tests.acceptance.claude_site import ClaudeSite, bash, claude_settings, dotenv, say, script
from tests.acceptance.standin_process import StandInProcess, standin
from tests.conftest import wait_until


@pytest.fixture(scope="module")
def api() -> Iterator[StandInProcess]:
    with standin() as running:
        yield running


@pytest.fixture
def site(short_tmp: Path, api: StandInProcess) -> Iterator[ClaudeSite]:
    dotenv(short_tmp, api)
    config = {"consumers": 1, "claude": claude_settings(), "budget_usd_per_day": 50}
    own = ClaudeSite(short_tmp, config)
    own.start("redis")
    own.start("consumer", "1")
    yield own
    own.close()


def begun(site: ClaudeSite, task_id: str, mark: Path) -> None:
    """The tool of its first turn runs, and the call of the API that asked for it is in the stream."""
    wait_until(mark.exists, 40, "its tool runs")
    stream = site.attempt(task_id) / "stream.jsonl"
    wait_until(lambda: b'"assistant"' in stream.read_bytes(), 10, "the call is in the stream")


def runner_of(site: ClaudeSite, task_id: str) -> int:
    return int(json.loads((site.attempt(task_id) / "runner.json").read_text())["pid"])


def claude_of(site: ClaudeSite, task_id: str) -> int:
    runner = runner_of(site, task_id)
    return int(Path(f"/proc/{runner}/task/{runner}/children").read_text().split()[0])


def kill_all(site: ClaudeSite, task_id: str) -> None:
    """SIGKILL to the consumer, the runner and claude at once."""
    processes = (runner_of(site, task_id), claude_of(site, task_id))
    site.processes["consumer-1"].send_signal(signal.SIGSTOP)  # so that it sees nothing of it
    for pid in processes:
        os.kill(pid, signal.SIGKILL)
    site.kill("consumer-1")


def seen_usd(site: ClaudeSite, task_id: str, attempts: int) -> float:
    """What the calls in the streams of the attempts cost by the list of prices."""
    streams = (folder.read(site.attempt(task_id, n), Summary())[0] for n in range(1, attempts + 1))
    calls = Summary(calls={name: call for s in streams for name, call in s.calls.items()})
    return total_usd(bill.of(calls) or [])


def test_a_run_that_is_killed_with_all_around_it_is_priced_from_its_usage(site: ClaudeSite) -> None:
    mark, go = site.folder / "mark", site.folder / "go"
    step = bash(f"touch {mark}; test -e {go} || sleep 600; true")
    task_id = site.submit(script(step, say("done")), max_budget_usd=5)
    begun(site, task_id, mark)
    store = site.store
    kill_all(site, task_id)
    for _ in ("suspected", "given on"):
        store.client.zadd(f"{store.prefix}leases", {task_id: 1})  # nobody waits 45 s here
        store.reap(0)
    assert store.today().usd == 5.0  # all that was reserved, for now
    go.touch()
    site.start("consumer", "1")
    record = site.finish(task_id)
    assert (record.state, record.attempt) == (State.SUCCEEDED, 2), record.reason
    assert store.unpriced() == []
    assert record.cost_usd == pytest.approx(seen_usd(site, task_id, 2), rel=0.05)
    assert store.today().usd == pytest.approx(record.cost_usd)
    assert sum(row.attempts for row in store.costs(1)) == 2
    assert record.input_tokens > 0


def test_a_session_that_goes_on_is_paid_for_once(site: ClaudeSite) -> None:
    """Newer CLIs say in a result what the whole session cost."""
    mark, go = site.folder / "mark", site.folder / "go"
    step = bash(f"touch {mark}; test -e {go} || sleep 600; true")
    task_id = site.submit(script(step, say("done")))
    begun(site, task_id, mark)
    os.kill(claude_of(site, task_id), signal.SIGINT)  # it writes down its session and its cost
    site.wait_for(task_id, State.SCHEDULED)
    go.touch()
    site.store.hasten(task_id)
    record = site.finish(task_id)
    assert (record.outcome, record.attempt) == ("succeeded", 2)
    argv = json.loads((site.attempt(task_id, 2) / "command.json").read_text())["argv"]
    assert any(word.startswith("--resume=") for word in argv)
    assert record.cost_usd == pytest.approx(seen_usd(site, task_id, 2), rel=0.05)


def test_a_task_s_budget_holds_across_its_attempts(site: ClaudeSite) -> None:
    mark, go = site.folder / "mark", site.folder / "go"
    step = bash(f"touch {mark}; test -e {go} || sleep 600; true")
    task_id = site.submit(script(step, say("done")), max_budget_usd=1)
    begun(site, task_id, mark)
    os.kill(claude_of(site, task_id), signal.SIGKILL)
    spent_usd = site.wait_for(task_id, State.SCHEDULED).cost_usd
    assert spent_usd > 0
    go.touch()
    site.store.hasten(task_id)
    assert site.finish(task_id).state is State.SUCCEEDED
    assert [allowed_usd(site, task_id, n) for n in (1, 2)] == [1, pytest.approx(1 - spent_usd)]


def allowed_usd(site: ClaudeSite, task_id: str, attempt: int) -> float:
    argv = json.loads((site.attempt(task_id, attempt) / "command.json").read_text())["argv"]
    return float(next(w for w in argv if w.startswith("--max-budget")).partition("=")[2])
