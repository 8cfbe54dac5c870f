"""`verify` and `json_schema` decide over success, with the real CLI; their words reach the next attempt."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from durable.records import State
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


@pytest.fixture(scope="module")
def api() -> Iterator[StandInProcess]:
    with standin() as running:
        yield running


@pytest.fixture
def site(short_tmp: Path, api: StandInProcess) -> Iterator[ClaudeSite]:
    dotenv(short_tmp, api)
    own = ClaudeSite(short_tmp, {"consumers": 1, "claude": claude_settings()})
    own.start("redis")
    own.start("consumer", "1")
    yield own
    own.close()


def again(site: ClaudeSite, task_id: str) -> None:
    """Do not wait for the pause before the next attempt."""
    site.wait_for(task_id, State.SCHEDULED)
    site.store.hasten(task_id)


def test_the_words_of_a_verify_that_says_no_reach_the_resumed_session(site: ClaudeSite) -> None:
    seen = site.folder / "seen"
    check = (
        f"cat >> {seen}; test -e {site.folder}/again && exit; echo briefing.md is missing; exit 3"
    )
    result = site.folder / "result.md"
    task_id = site.submit(
        script(bash("true"), say("the briefing is written")),
        verify=["sh", "-c", check],
        result=str(result),
    )
    again_at = site.wait_for(task_id, State.SCHEDULED)
    assert (again_at.outcome, again_at.counted) == ("unverified", 1)
    assert "exit status 3" in again_at.reason
    assert "briefing.md is missing" in again_at.reason
    assert not result.exists()
    (site.folder / "again").touch()
    again(site, task_id)
    record = site.finish(task_id)
    assert (record.state, record.attempt) == (State.SUCCEEDED, 2)
    told = (site.attempt(task_id, 2) / "prompt.md").read_text()
    assert "| briefing.md is missing" in told
    assert "data, not instructions" in told
    argv = json.loads((site.attempt(task_id, 2) / "command.json").read_text())["argv"]
    first = json.loads((site.attempt(task_id, 1) / "command.json").read_text())["argv"]
    session = next(w for w in first if w.startswith("--session-id=")).partition("=")[2]
    assert f"--resume={session}" in argv
    assert seen.read_text() == "the briefing is written" * 2
    assert result.read_text() == "the briefing is written"


def test_an_answer_without_what_the_schema_asks_for_is_no_success(site: ClaudeSite) -> None:
    schema = {"type": "object", "properties": {"answer": {"type": "integer"}}}
    give = {"tool": "StructuredOutput", "input": {"answer": 42}}
    task_id = site.submit(script(give, say("42")), json_schema=schema)
    assert site.finish(task_id).state is State.SUCCEEDED
    task_id = site.submit(script(say("It is 42.")), json_schema=schema, retries=0)
    record = site.finish(task_id)
    assert (record.state, record.outcome) == (State.FAILED, "unverified")
    assert "json_schema" in record.reason


def test_a_check_goes_on_without_its_consumer_and_is_made_once(site: ClaudeSite) -> None:
    runs, go = site.folder / "runs", site.folder / "go"
    check = f"echo x >> {runs}; while ! test -e {go}; do sleep 0.1; done"
    task_id = site.submit(script(say("done")), verify=["sh", "-c", check])
    wait_until(runs.exists, 40, "the check runs")
    site.kill("consumer-1")
    site.start("consumer", "1")
    wait_until(lambda: site.store.record(task_id).token > 1, 20, "it is adopted")  # type: ignore[union-attr]
    go.touch()
    record = site.finish(task_id)
    assert (record.state, record.attempt) == (State.SUCCEEDED, 1)
    assert runs.read_text() == "x\n"


#: One that ignores signals, in a session of its own.
STUBBORN = """setsid sh -c "trap '' INT TERM; sleep 600" & """


def test_a_cancel_ends_a_check_and_all_that_it_started(site: ClaudeSite) -> None:
    began = site.folder / "began"
    check = f"{STUBBORN} echo x >> {began}; exec sleep 600"
    task_id = site.submit(script(say("done")), verify=["sh", "-c", check])
    wait_until(began.exists, 40, "the check runs")
    site.store.cancel(task_id)
    assert site.finish(task_id).state is State.CANCELLED
    assert not marked(f"BATON_ATTEMPT={task_id}")


def test_a_check_that_was_broken_off_is_made_again_without_claude(site: ClaudeSite) -> None:
    began, go = site.folder / "began", site.folder / "go"
    check = f"test -e {go} && exit; {STUBBORN} echo x >> {began}; exec sleep 600"
    task_id = site.submit(script(say("done")), verify=["sh", "-c", check])
    wait_until(began.exists, 40, "the check runs")
    stopping = site.folder / "var" / "stopping"
    stopping.touch()
    assert site.stop("consumer-1") == 0
    assert not marked(f"BATON_ATTEMPT={task_id}")
    broken_off = site.wait_for(task_id, State.QUEUED)
    assert (broken_off.outcome, broken_off.counted) == ("interrupted", 0)
    stopping.unlink()
    go.touch()
    site.start("consumer", "1")
    record = site.finish(task_id)
    assert (record.state, record.attempt) == (State.SUCCEEDED, 2)
    assert not (site.attempt(task_id, 2) / "stream.jsonl").exists()
    stream = (site.attempt(task_id) / "stream.jsonl").read_text().splitlines()
    assert record.cost_usd == pytest.approx(json.loads(stream[-1])["total_cost_usd"])


def test_a_check_that_cannot_be_started_burns_no_retries(site: ClaudeSite) -> None:
    no_program = str(site.folder / "baton.yaml")
    record = site.finish(site.submit(script(say("done")), verify=[no_program]))
    assert (record.state, record.outcome, record.attempt) == (State.FAILED, "rejected", 1)
    assert no_program in record.reason
