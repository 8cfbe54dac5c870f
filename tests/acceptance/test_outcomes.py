"""Every row of the table of outcomes, played by the real claude: what the task comes to and what it costs.

The rows that no other task is kept back by are played together. Elsewhere: interrupted and a refused key
(test_claude_tasks.py), the subscription's limit (there), what each end leaves running (test_reaping.py).
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from consumers.ending import Outcome
from durable.records import Record, State
from tests.acceptance.claude_site import ClaudeSite, bash, claude_settings, dotenv, say, script
from tests.acceptance.standin_process import standin
from tests.conftest import wait_until

FINAL, AGAIN = (State.FAILED, 0), (State.SCHEDULED, 1)
LATER = (State.SCHEDULED, 0)
"""State, and how many attempts count against `retries`."""

TOUCH, TWICE = bash("touch made"), [bash("touch made"), bash("touch again")]
KILL = bash("kill -9 $PPID; sleep 20")
SLEEP = bash("touch made; sleep 100")
NOBODY = json.dumps({"env": {"ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}})
TOO_LONG = "prompt is too long: 250000 tokens > 200000 maximum"
NO_CREDIT = "Your credit balance is too low to access the Anthropic API."


class Row(NamedTuple):
    """What is played, and what it comes to."""

    prompt: str
    options: dict[str, Any]
    outcome: str
    end: tuple[State, int]
    words: str
    """In the reason that people read."""


ROWS = {
    "success": Row(script(TOUCH, say("done")), {}, "succeeded", (State.SUCCEEDED, 0), ""),
    "denied": Row(
        script(TOUCH, say("no")), {"allowed_tools": ["Read"]}, "denied", FINAL, "not allowed"
    ),
    "denied, accepted": Row(
        script(TOUCH, say("no")),
        {"allowed_tools": ["Read"], "on_denied": "accept"},
        "succeeded",
        (State.SUCCEEDED, 0),
        "",
    ),
    "killed": Row(script(KILL), {}, "crashed", AGAIN, "SIGKILL"),
    "killed, the last time": Row(script(KILL), {"retries": 0}, "crashed", FINAL, "SIGKILL"),
    "killed, on_crash hold": Row(
        script(KILL), {"on_crash": "hold"}, "crashed", (State.HELD, 0), "SIGKILL"
    ),
    "529": Row(script(error=529), {}, "overloaded", LATER, "did not answer"),
    "500": Row(script(error=500), {"max_runtime": "12s"}, "overloaded", LATER, "did not answer"),
    "cut": Row(script(cut=True), {}, "overloaded", LATER, "did not answer"),
    "no connection": Row(
        "Hello.", {"max_runtime": "12s", "settings": NOBODY}, "overloaded", LATER, "did not answer"
    ),
    "400": Row(script(error=400, message="not so"), {}, "rejected", FINAL, "not so"),
    "no such model": Row("Hello.", {"model": "clod-1"}, "rejected", FINAL, "clod-1"),
    "too long": Row(
        script(error=400, message=TOO_LONG), {}, "rejected", FINAL, "rompt is too long"
    ),
    "a bad flag": Row("Hello.", {"mcp_config": ["/no/mcp.json"]}, "rejected", FINAL, "MCP"),
    "max_turns": Row(script(*TWICE), {"max_turns": 1}, "max_turns", FINAL, "max_turns"),
    "max_budget": Row(
        script(*TWICE), {"max_budget_usd": 0.01}, "max_budget", FINAL, "max_budget_usd"
    ),
    "max_runtime": Row(script(SLEEP), {"max_runtime": "5s"}, "timed_out", AGAIN, "max_runtime"),
    "no answer": Row(
        script(hang="before"), {"max_silence": "4s"}, "silent", AGAIN, "max_silence"
    ),
    "half an answer": Row(
        script(hang="mid"), {"max_silence": "4s"}, "silent", AGAIN, "max_silence"
    ),
    "a person's cancel": Row(
        script(SLEEP), {}, "cancelled", (State.CANCELLED, 0), "cancelled"
    ),
}  # fmt: skip
GATED = {
    "a forbidden account": (script(error=403), "auth", "login"),
    "no credit": (script(error=400, message=NO_CREDIT), "billing", "billing"),
    "a key's limit": (
        script(error=429, headers={"x-should-retry": "false"}),
        "usage_limit",
        "usage limit",
    ),
}
ELSEWHERE = {"interrupted", "unverified"}


@pytest.fixture
def site(short_tmp: Path) -> Iterator[ClaudeSite]:
    with standin() as api:
        dotenv(short_tmp, api)
        settings = claude_settings(allowed_tools=["Bash"])
        own = ClaudeSite(short_tmp, {"consumers": 4, "claude": settings})
        own.start("redis")
        for number in "1234":
            own.start("consumer", number)
        yield own
        own.close()


def play(site: ClaudeSite) -> dict[str, Record]:
    """Every row's record after its first attempt."""
    slow_first = sorted(ROWS, key=lambda name: "max_runtime" not in ROWS[name].options)
    calls = [(ROWS[name].prompt, ROWS[name].options) for name in slow_first]
    code = f"from tasks import claude\nfor p, o in {calls!r}: print(claude(p, **o).id)"
    ids = dict(zip(slow_first, site.python(code).split(), strict=True))
    store = site.store
    found: dict[str, Record] = {}

    def all_over() -> bool:
        if works(site, ids["a person's cancel"]):
            store.cancel(ids["a person's cancel"])
        for name in ids.keys() - found.keys():
            record = store.record(ids[name])
            assert record is not None
            if record.outcome and record.state is not State.RUNNING:
                found[name] = record
                if not record.state.final:
                    store.cancel(record.id)  # one attempt is enough
        return found.keys() == ids.keys()

    wait_until(all_over, 150, f"each of {ids} has had its attempt, beside {found.keys()}")
    return found


def works(site: ClaudeSite, task_id: str) -> bool:
    """Whether claude has been told to use a tool."""
    stream = site.attempt(task_id) / "stream.jsonl"
    return stream.exists() and '"tool_use"' in stream.read_text()


def test_each_end_has_its_outcome_and_what_follows(site: ClaudeSite) -> None:
    """In one test, because four consumers play the rows side by side."""
    records = play(site)
    wrong = {name: said for name in ROWS if (said := complaint(ROWS[name], records[name]))}
    assert not wrong
    assert site.store.gate() == []  # none of them keeps another task back


def complaint(row: Row, record: Record) -> str:
    """What is not as the row says."""
    waits = record.due_ms > record.created_ms
    right = (
        (record.outcome, record.state, record.counted) == (row.outcome, *row.end)
        and row.words in record.reason
        and record.attempt == 1
        and (waits or record.state is not State.SCHEDULED)
    )
    said = f"{record.outcome}, {record.state}, counted {record.counted}, attempt {record.attempt}"
    return "" if right else f"{said}: {record.reason}"


def test_what_all_tasks_would_meet_closes_the_gate_and_counts_nothing(site: ClaudeSite) -> None:
    for prompt, outcome, reason in GATED.values():
        task_id = site.submit(prompt)
        wait_until(lambda: site.store.gate(), 60, "the gate closes")
        record = site.wait_for(task_id, State.QUEUED)
        site.store.cancel(task_id)
        entries = site.store.gate()
        site.store.open_gate()
        assert [(entry.scope, entry.reason) for entry in entries] == [("claude:default", reason)]
        assert entries[0].until_ms is not None, "one task tries then whether it is over"
        assert (record.outcome, record.counted, record.attempt) == (outcome, 0, 1)


def test_every_outcome_is_played() -> None:
    here = {row.outcome for row in ROWS.values()} | {outcome for _, outcome, _ in GATED.values()}
    assert here | ELSEWHERE == {outcome.value for outcome in Outcome}
