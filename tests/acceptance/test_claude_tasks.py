"""Claude tasks through a real queue, a real consumer and the real CLI; only the API is a stand-in."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from durable.records import State
from durable.remedies import remedy
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
    config = {
        "consumers": 1,
        "claude": claude_settings(),
        "watchers": {
            "inbox": {
                "path": "Inbox",
                "done": "Done",
                "failed": "Failed",
                "settle": "200ms",
                "prompt": "Read the file {{ path }} and summarise it.",
                "result": "Done/{{ name }}.summary.md",
            }
        },
    }
    own = ClaudeSite(short_tmp, config, {"SECRET_OF_THE_SHELL": "not for claude"})
    own.start("redis")
    own.start("consumer", "1")
    yield own
    own.close()


def test_a_dropped_file_becomes_done_with_its_result(site: ClaudeSite) -> None:
    site.start("watch", "inbox")
    (site.folder / "Inbox" / "note one.md").write_text("The invoice is due on Friday.\n")
    summary = site.folder / "Done" / "note one.md.summary.md"
    wait_until(summary.exists, 60, "the result is written")
    wait_until((site.folder / "Done" / "note one.md").exists, 10, "the file is put away")
    record = site.store.page(State.SUCCEEDED)[0]
    assert record.source == "watcher:inbox"
    assert record.cost_usd > 0
    assert summary.read_text() == site.text(record.id)
    assert "Friday" in summary.read_text()
    assert not list((site.folder / "Inbox").glob("*.md"))


def test_a_tool_call_runs_and_sees_only_the_environment_that_is_named(site: ClaudeSite) -> None:
    task_id = site.submit(script(bash("env -0 | tr '\\0' '\\n'; ls -l /proc/self/fd"), say("done")))
    assert site.finish(task_id).state is State.SUCCEEDED
    printed = site.tool_output(task_id)
    assert "not for claude" not in printed
    assert "BATON_CONFIG" not in printed
    for name in ("NODE_CHANNEL_FD", "PM2_HOME", "pm_id", "VIRTUAL_ENV", "PYTHONPATH"):
        assert f"\n{name}=" not in printed
    assert f"BATON_ATTEMPT={task_id}/1" in printed
    assert f"HOME={site.folder / 'home'}" in printed
    written = (site.attempt(task_id) / "command.json").read_text()
    assert "ANTHROPIC_API_KEY" in json.loads(written)["env"]
    assert "made-up" not in written


def test_a_task_finds_nothing_of_the_one_before_it(site: ClaudeSite) -> None:
    leave = "export LEFT=1; echo left > $TMPDIR/left; mkdir -p $TMPDIR/sub; echo TMP=$TMPDIR"
    first = site.submit(script(bash(leave), say("left something")))
    look = "echo LEFT=[$LEFT]; ls -A $TMPDIR; echo TMP=$TMPDIR"
    second = site.submit(script(bash(look), say("looked")))
    assert site.finish(first).state is State.SUCCEEDED
    assert site.finish(second).state is State.SUCCEEDED
    seen = site.tool_output(second)
    assert "LEFT=[]" in seen
    assert "left" not in seen.replace("LEFT", "")
    for task_id in (first, second):
        command = json.loads((site.attempt(task_id) / "command.json").read_text())
        assert f"TMP={command['tmpdir']}" in site.tool_output(task_id)
        assert not Path(command["tmpdir"]).exists()


def test_a_denied_tool_fails_and_says_which_line_would_allow_it(site: ClaudeSite) -> None:
    task_id = site.submit(script(bash("touch denied"), say("I could not")), allowed_tools=["Read"])
    record = site.finish(task_id)
    assert (record.state, record.outcome) == (State.FAILED, "denied")
    shown = site.python(
        f"from tasks import huey\ntry: huey.result_of({task_id!r}).get()\nexcept Exception as e: print(e)"
    )
    assert "allowed_tools" in shown
    assert "Bash(" in shown


@pytest.mark.parametrize("command", ["touch made; touch two", "touch made > out"])
def test_the_line_that_a_denial_names_lets_the_same_command_through(
    site: ClaudeSite, command: str
) -> None:
    prompt = script(bash(command), say("tried"))
    task_id = site.submit(prompt, allowed_tools=["Read"])
    assert site.finish(task_id).outcome == "denied"
    advice = site.python(
        "from tasks import TaskFailed, huey\n"
        f"try: huey.result_of({task_id!r}).get()\nexcept TaskFailed as e: print(e.remedy)"
    )
    lines = re.search(r"`allowed_tools`: (.*?)\. ", advice)
    assert lines, advice
    named = json.loads(f"[{lines[1]}]")
    assert site.finish(site.submit(prompt, allowed_tools=named)).state is State.SUCCEEDED
    assert (site.folder / "made").exists()


def test_a_usage_limit_closes_the_gate_until_its_reset(
    short_tmp: Path, api: StandInProcess
) -> None:
    dotenv(short_tmp, api, "CLAUDE_CODE_OAUTH_TOKEN=made-up")
    site = ClaudeSite(short_tmp, {"consumers": 1, "claude": claude_settings()})
    site.start("redis")
    site.start("consumer", "1")
    try:
        prompt = script(rate_limit="rejected", reset_in_s=3600, claim="five_hour")
        task_id = site.submit(prompt)
        wait_until(lambda: site.store.gate(), 40, "the gate closes")
        entry = site.store.gate()[0]
        assert entry.reason == "usage limit"
        assert entry.until_ms is not None
        assert abs(entry.until_ms - site.store.now_ms() - 3_600_000) < 120_000
        assert site.wait_for(task_id, State.QUEUED).counted == 0
    finally:
        site.close()


def test_after_a_limit_one_task_tries_and_opens_the_gate_long_before_its_end(
    short_tmp: Path, api: StandInProcess
) -> None:
    dotenv(short_tmp, api)
    site = ClaudeSite(short_tmp, {"consumers": 2, "claude": claude_settings()})
    site.start("redis")
    try:
        over_ms = site.store.now_ms() + 500
        site.store.close_gate(
            "claude:default", "usage limit", by="t", why="spent", until_ms=over_ms
        )
        for number in "12":
            site.start("consumer", number)
        ids = [site.submit(script(bash("true; sleep 3"), say("done"))) for _ in "12"]
        for task_id in ids:
            site.finish(task_id)
        happened = [(fields[b"event"].decode(), fields[b"id"].decode()) for fields in events(site)]
        told = [pair for pair in happened if pair[0] in ("leased", "gate opened", "succeeded")]
        assert [event for event, _ in told] == [
            *("leased", "gate opened", "leased"),
            *("succeeded", "succeeded"),
        ]
        assert {told[0][1], told[2][1]} == set(ids)
    finally:
        site.close()


def events(site: ClaudeSite) -> list[dict[bytes, bytes]]:
    entries: Any = site.store.client.xrange(site.store.prefix + "events")
    return [fields for _, fields in entries]


def test_secrets_and_state_are_out_of_reach_of_tools(site: ClaudeSite) -> None:
    for hidden in (site.folder / ".env", site.folder / "var" / "instance-id"):
        read = {"tool": "Read", "input": {"file_path": str(hidden)}}
        task_id = site.submit(script(read, say("I could not")))
        assert site.finish(task_id).outcome == "denied"
        assert "made-up" not in site.tool_output(task_id)


def test_a_pipeline_hands_the_text_on(site: ClaudeSite) -> None:
    first = script(say("the words of the first"))
    printed = site.python(
        "from tasks import claude, huey\n"
        f"both = huey.enqueue(claude.s({first!r}).then(claude, 'Go on from this:'))\n"
        "print([r['text'] for r in both.get(blocking=True, timeout=60)])"
    )
    assert "the words of the first" in printed
    prompts = [p.read_text() for p in (site.folder / "var" / "attempts").glob("*/1/prompt.md")]
    assert "Go on from this:\n\nthe words of the first" in prompts


def test_a_consumer_that_goes_down_gives_its_run_back_uncounted(site: ClaudeSite) -> None:
    go = site.folder / "go"
    task_id = site.submit(script(bash(f"test -e {go} || sleep 600"), say("went")))
    wait_until(lambda: site.store.record(task_id).session, 40, "claude runs")  # type: ignore[union-attr]
    stopping = site.folder / "var" / "stopping"  # as ./baton down writes it
    stopping.touch()
    assert site.stop("consumer-1") == 0
    stopping.unlink()
    record = site.store.record(task_id)
    assert record is not None
    assert (record.state, record.counted, record.outcome) == (State.QUEUED, 0, "interrupted")
    assert not marked(f"BATON_ATTEMPT={task_id}")
    go.touch()
    site.start("consumer", "1")
    assert site.finish(task_id).state is State.SUCCEEDED


def test_an_end_that_a_killed_consumer_could_not_write_is_not_repeated(site: ClaudeSite) -> None:
    """claude ends well after its consumer was killed; the next attempt settles that result."""
    counter = site.folder / "counter"
    task_id = site.submit(script(bash(f"echo x >> {counter}; sleep 2"), say("counted")))
    wait_until(counter.exists, 40, "the tool runs")
    site.kill("consumer-1")
    wait_until((site.attempt(task_id) / "exit.json").exists, 20, "the run ends by itself")
    site.start("consumer", "1")
    assert site.finish(task_id).state is State.SUCCEEDED
    assert counter.read_text() == "x\n"
    assert site.text(task_id) == "counted"


def test_a_folder_that_cannot_be_written_fails_nobody(site: ClaudeSite) -> None:
    attempts = site.folder / "var" / "attempts"
    attempts.write_text("in the way, as a full disk would be")
    task_id = site.submit(script(say("written")))
    record = site.wait_for(task_id, State.SCHEDULED)
    assert (record.outcome, record.counted) == ("interrupted", 0)
    assert "could not be prepared" in record.reason


def test_without_claude_the_gate_says_how_to_get_it(short_tmp: Path, api: StandInProcess) -> None:
    dotenv(short_tmp, api)
    missing = claude_settings(command=str(short_tmp / "no-claude"))
    site = ClaudeSite(short_tmp, {"consumers": 1, "claude": missing})
    site.start("redis")
    site.start("consumer", "1")
    try:
        task_id = site.submit("hello")
        wait_until(lambda: site.store.gate(), 20, "the gate closes")
        [entry] = site.store.gate()
        assert "no-claude" in remedy(entry)
        record = site.wait_for(task_id, State.QUEUED)
        assert record.counted == 0
    finally:
        site.close()


@pytest.mark.parametrize(
    ("limit", "reason"),
    [({"budget_usd_per_day": 0.000001}, "budget"), ({"budget_tokens_per_day": 1}, "token budget")],
    ids=["dollars", "tokens"],
)
def test_a_spent_budget_closes_the_gate_for_the_rest_of_the_day(
    short_tmp: Path, api: StandInProcess, limit: dict[str, float], reason: str
) -> None:
    dotenv(short_tmp, api)
    config = {"consumers": 1, "claude": claude_settings(), "timezone": "Asia/Tokyo", **limit}
    site = ClaudeSite(short_tmp, config)
    site.start("redis")
    site.start("consumer", "1")
    try:
        assert site.finish(site.submit(script(say("the first is paid")))).state is State.SUCCEEDED
        assert site.store.today().usd > 0
        task_id = site.submit(script(say("the second is not")))
        wait_until(lambda: site.store.gate(), 20, "the gate closes")
        [entry] = site.store.gate()
        assert (entry.reason, (entry.until_ms or 0) % 86_400_000) == (reason, 15 * 3_600_000)
        assert site.wait_for(task_id, State.QUEUED).counted == 0
    finally:
        site.close()
