"""The table of outcomes: recordings of the real CLI and ends made by hand, each with its outcome."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers import complaints
from consumers.ending import Outcome
from consumers.outcome import Conclusion, Exit, conclude, early
from consumers.stream import Event, Summary, fold, frame

STREAMS = Path(__file__).parent.parent / "data" / "streams"
VERSIONS = ["", "2.1.330"]
"""Folders of recordings: of 2.1.197, and of the version they are named after."""
NOW = datetime(2026, 11, 22, 22, 0, tzinfo=UTC).timestamp()

INIT: Event = {"type": "system", "subtype": "init", "session_id": "s", "model": "m"}
KEYED = INIT | {"apiKeySource": "ANTHROPIC_API_KEY"}
LOGIN = INIT | {"apiKeySource": "none"}
GOOD: Event = {
    "type": "result",
    "subtype": "success",
    "is_error": False,
    "result": "done",
    "terminal_reason": "completed",
    "permission_denials": [],
}
DENIED = GOOD | {"permission_denials": [{"tool_name": "Bash", "tool_input": {"command": "ls"}}]}
ABORTED: Event = {
    "type": "result",
    "subtype": "error_during_execution",
    "is_error": True,
    "terminal_reason": "aborted_tools",
    "errors": ["[ede_diagnostic] x"],
}
CLEAN, FAILED = Exit(exit_code=0), Exit(exit_code=1)


def bad(text: str, status: int | None = None) -> Event:
    return GOOD | {"is_error": True, "result": text, "api_error_status": status}


def retry(status: int | None, error: str, attempt: int = 1) -> Event:
    event = {"type": "system", "subtype": "api_retry", "attempt": attempt}
    return event | {"error_status": status, "error": error}


def spoke(text: str, model: str = "claude", error: str | None = None) -> Event:
    message = {"model": model, "content": [{"type": "text", "text": text}]}
    return {"type": "assistant", "message": message, "error": error}


def stopped(reason: str, **more: Any) -> Exit:
    return Exit(stopped=reason, **more)


def folded(*events: Event) -> Summary:
    summary = Summary()
    for event in events:
        summary = fold(summary, event)
    return summary


def recorded(name: str, version: str = "") -> Summary:
    return folded(*frame((STREAMS / version / f"{name}.jsonl").read_bytes())[0])


def of(ended: Exit, *events: Event, on_denied: str = "fail") -> Conclusion:
    return conclude(folded(*events), ended, NOW, on_denied)


RECORDED = [
    ("success", CLEAN, "succeeded"),
    ("bash_success", CLEAN, "succeeded"),
    ("structured", CLEAN, "succeeded"),
    ("structured_missing", CLEAN, "succeeded"),  # the CLI says so; verification does not
    ("structured_unfit", FAILED, "unverified"),
    ("subscription_allowed", CLEAN, "succeeded"),
    ("subscription_warning", CLEAN, "succeeded"),
    ("denied", CLEAN, "denied"),
    ("api_400", FAILED, "rejected"),
    ("unknown_model", FAILED, "rejected"),
    ("prompt_too_long", FAILED, "rejected"),
    ("api_401_oauth", FAILED, "auth"),
    ("api_401_retry", stopped("gate", signal=9), "auth"),
    ("api_401_retry", stopped("shutdown", signal=9), "auth"),
    ("api_401_retry", stopped("cancelled", signal=9), "cancelled"),
    ("api_403", FAILED, "auth"),
    ("not_logged_in", FAILED, "auth"),
    ("no_credit", FAILED, "billing"),
    ("api_429_key", FAILED, "usage_limit"),
    ("api_429_key_retry", stopped("timed_out", signal=9), "usage_limit"),
    ("subscription_rejected", FAILED, "usage_limit"),
    ("overloaded_529", FAILED, "overloaded"),
    ("cut", FAILED, "overloaded"),
    ("server_500_retry", stopped("timed_out"), "overloaded"),
    ("server_500_retry", stopped("shutdown"), "interrupted"),
    ("unreachable", stopped("silent"), "overloaded"),
    ("max_turns", FAILED, "max_turns"),
    ("max_budget", FAILED, "max_budget"),
    ("sigint_aborted", stopped("cancelled", exit_code=0), "cancelled"),
    ("sigint_aborted", stopped("shutdown", exit_code=0), "interrupted"),
    ("sigint_aborted", stopped("timed_out", exit_code=1), "timed_out"),
    ("sigint_aborted", stopped("silent", exit_code=1), "silent"),
    ("sigint_aborted", CLEAN, "crashed"),
    ("sigint_early", stopped("deadline", exit_code=0), "interrupted"),
    ("sigterm", stopped("lost", signal=15), "interrupted"),
    ("sigterm", Exit(signal=15), "crashed"),
    ("killed", Exit(signal=9), "crashed"),
    ("killed", Exit(lost_runner=True), "crashed"),
    ("killed", stopped("lost", signal=9), "interrupted"),
    ("silent_start", stopped("silent"), "silent"),
    ("silent_start", stopped("timed_out"), "timed_out"),
    ("silent_turn", stopped("silent"), "silent"),
    ("silent_turn", stopped("cancelled"), "cancelled"),
    ("bad_flag", Exit(exit_code=1, stderr_tail="Error: Invalid MCP configuration:"), "rejected"),
    ("no_session", FAILED, "crashed"),
]
MADE: list[tuple[Exit, list[Event], str]] = [
    # The exit status is never trusted alone.
    (FAILED, [KEYED, GOOD], "succeeded"),
    (CLEAN, [KEYED], "crashed"),
    (Exit(signal=9), [KEYED, GOOD], "succeeded"),
    # A complete result outlives every stop, a person's too.
    (stopped("lingering", signal=9), [KEYED, GOOD], "succeeded"),
    (stopped("cancelled"), [KEYED, GOOD], "succeeded"),
    (stopped("timed_out"), [KEYED, DENIED], "denied"),
    (stopped("cancelled"), [KEYED, ABORTED], "cancelled"),
    (stopped("lingering"), [KEYED, bad("odd")], "crashed"),
    (stopped("lingering"), [KEYED, bad("odd", 400)], "rejected"),
    (stopped("gate"), [KEYED], "interrupted"),
    (stopped("shutdown"), [KEYED, ABORTED | {"errors": ["socket hang up"]}], "interrupted"),
    (stopped("a reason of a later version"), [KEYED], "interrupted"),
    # A limit reported as a success (claude-code#79500), and a text that only speaks of one.
    (CLEAN, [KEYED, spoke("You've hit your limit · resets 3pm (UTC)", "<synthetic>"),
             GOOD | {"result": "You've hit your limit · resets 3pm (UTC)"}], "usage_limit"),
    (CLEAN, [KEYED, spoke("Not logged in · Please run /login", "<synthetic>",
                          "authentication_failed"), GOOD], "auth"),
    (CLEAN, [KEYED, spoke("They hit their limit"), GOOD | {
        "result": "You've hit your limit · resets 3pm (UTC)"}], "succeeded"),
    # Words of the API that its codes and statuses hide.
    (FAILED, [bad("Credit balance is too low", 400)], "billing"),
    (FAILED, [bad("You've hit your monthly spend limit · raise it", 429)], "billing"),
    (FAILED, [bad("You've hit your monthly spend limit · resets 3pm (UTC)", 429)], "usage_limit"),
    (FAILED, [bad("API Error: Server is temporarily limiting requests (not your usage limit)",
                  429)], "overloaded"),
    (FAILED, [bad("Your ANTHROPIC_API_KEY belongs to a disabled organization", 400)], "auth"),
    (FAILED, [bad("Claude AI usage limit reached|1795388491")], "usage_limit"),
    (FAILED, [bad("API Error: 500 Internal server error", 500)], "overloaded"),
    (FAILED, [bad("API Error: Connection error.")], "overloaded"),
    (FAILED, [bad("API Error: Unable to connect (ECONNREFUSED)")], "overloaded"),
    (FAILED, [bad("x", 402)], "billing"),
    (FAILED, [bad("x", 413)], "rejected"),
    (FAILED, [KEYED, bad("something unheard of")], "crashed"),
    (FAILED, [KEYED, GOOD | {"subtype": "error_max_structured_output_retries",
                             "is_error": True}], "unverified"),
    # Plain text instead of a stream.
    (Exit(exit_code=1, stderr_tail="error: unknown option '--x'"), [], "rejected"),
    (Exit(exit_code=1, stderr_tail="Error: Invalid MCP configuration:\nMCP config file not "
          "found: /x"), [], "rejected"),
    (Exit(exit_code=1, stderr_tail="--agent 'x' not found."), [], "rejected"),
    (Exit(exit_code=1, stderr_tail="Error: ENOSPC: no space left on device"), [], "crashed"),
    (Exit(exit_code=1, stderr_tail="Error: Session ID s is already in use."), [], "crashed"),
    (Exit(exit_code=1, stderr_tail="Not logged in · Please run /login"), [], "auth"),
    (Exit(exit_code=1, stderr_tail="a stack trace"), [], "crashed"),
    (Exit(exit_code=1), [{"type": "garbled", "line": "Error: no such thing"}], "rejected"),
    (Exit(exit_code=139), [], "crashed"),
    # It never began, or its runner was killed.
    (Exit(spawn_error="/x: No such file", spawn_errno=2), [], "rejected"),
    (Exit(spawn_error="fork: Resource temporarily unavailable", spawn_errno=11), [], "crashed"),
    (Exit(spawn_error="/run/s: Address already in use"), [], "crashed"),
    (Exit(lost_runner=True), [], "crashed"),
    (Exit(lost_runner=True), [KEYED, GOOD], "succeeded"),
]  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("name", "ended", "outcome"), RECORDED)
def test_each_recording_has_its_outcome(name: str, ended: Exit, outcome: str, version: str) -> None:
    end = conclude(recorded(name, version), ended, NOW, "fail")
    assert end.outcome == outcome
    assert end.message
    assert "\n" not in end.message + end.remedy


#: Cut off at a moment that only test_toolcalls.py is about.
OF_TOOLS = {"subagent", "two_tools"}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_recording_is_in_the_table(version: str) -> None:
    files = (STREAMS / version).glob("*.jsonl")
    assert {file.stem for file in files} - OF_TOOLS == {row[0] for row in RECORDED}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["silent_turn", "killed", "sigterm"])
def test_a_run_that_was_cut_off_at_work_can_be_resumed(name: str, version: str) -> None:
    summary = recorded(name, version)
    assert summary.alive
    assert summary.session_id


@pytest.mark.parametrize("version", VERSIONS)
def test_a_run_that_the_api_never_answered_is_no_sign_of_life(version: str) -> None:
    assert not recorded("silent_start", version).alive


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_that_is_not_there_is_told_by_the_stream(version: str) -> None:
    assert conclude(recorded("no_session", version), FAILED, NOW).session_gone


@pytest.mark.parametrize(("ended", "events", "outcome"), MADE)
def test_each_end_has_its_outcome(ended: Exit, events: list[Event], outcome: str) -> None:
    assert of(ended, *events).outcome == outcome


def test_every_outcome_is_reached() -> None:
    reached = {row[2] for row in RECORDED} | {row[2] for row in MADE}
    assert reached == {outcome.value for outcome in Outcome}


def test_on_denied_accept_makes_it_a_success() -> None:
    assert of(CLEAN, KEYED, DENIED, on_denied="accept").outcome == "succeeded"


@pytest.mark.parametrize(
    ("events", "outcome"),
    [
        ([KEYED], None),
        ([KEYED, retry(401, "authentication_failed")], "auth"),
        ([LOGIN, retry(401, "authentication_failed")], None),
        ([LOGIN, retry(401, "authentication_failed", attempt=2)], "auth"),
        ([LOGIN, retry(401, "authentication_failed", attempt=2), spoke("hi")], None),
        ([KEYED, retry(402, "billing_error")], "billing"),
        ([KEYED, retry(429, "rate_limit")], None),
        ([KEYED, retry(529, "overloaded")], None),
        ([KEYED, retry(None, "unknown")], None),
        ([KEYED, bad("Credit balance is too low", 400)], "billing"),
        ([KEYED, bad("bad", 400)], None),
        ([KEYED, GOOD], None),
        ([LOGIN, {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected"}}],
         "usage_limit"),
        ([LOGIN, {"type": "rate_limit_event", "rate_limit_info": {"status": "allowed"}}], None),
    ],
)  # fmt: skip
def test_what_closes_the_gate_is_seen_before_the_end(
    events: list[Event], outcome: str | None
) -> None:
    assert early(folded(*events)) == outcome


def test_a_refused_key_is_seen_at_the_first_event_that_says_so() -> None:
    events = frame((STREAMS / "api_401_retry.jsonl").read_bytes())[0]
    first = next(n for n, event in enumerate(events) if event.get("subtype") == "api_retry")
    assert early(folded(*events[: first + 1])) is Outcome.AUTH


@pytest.mark.parametrize(
    ("command", "rule"),
    [
        ("git status", '"Bash(git status)"'),
        ('echo "hi there"', '"Bash(echo \\"hi there\\")"'),
        ('python3 -c "print(1)"', '"Bash(python3 *)"'),
        ("make\ntest", '"Bash(make)", "Bash(test)"'),
        ("x" * 200, f'"Bash({"x" * 200} *)"'),
        ("", '"Bash"'),
        ("touch a; sleep 1", '"Bash(touch a)", "Bash(sleep 1)"'),
        (
            "git add -A && git commit -m 'a; b'",
            '"Bash(git add -A)", "Bash(git commit -m \'a; b\')"',
        ),
        ("npm test 2>&1 | tail -5", '"Bash(npm test)", "Bash(tail -5)"'),
        ("touch a > out", '"Bash". A narrower line may not do'),
        ("touch $HOME/x", '"Bash". A narrower'),
        ("for i in a b; do touch x; done", '"Bash". A narrower'),
        ("cd sub && touch x", '"Bash". A narrower'),
        ("sleep 9 & touch x", '"Bash". A narrower'),
        ("cat ../other", '"Bash". A narrower'),
        ("timeout 5 rm /tmp/x", '"Bash". A narrower'),
        ("touch it's", '"Bash". A narrower'),
        ("a; b; c; d; e; f", '"Bash". A narrower'),
    ],
)
def test_a_denial_names_the_line_to_add(command: str, rule: str) -> None:
    denials = [{"tool_name": "Bash", "tool_input": {"command": command}}]
    end = of(CLEAN, KEYED, GOOD | {"permission_denials": denials})
    assert rule in end.remedy
    assert "allowed_tools" in end.remedy


def test_several_denials_are_named_once_each() -> None:
    denials = [{"tool_name": name} for name in ("Write", "Write", "WebFetch")] + [{}]
    end = of(CLEAN, KEYED, GOOD | {"permission_denials": denials})
    assert '"Write", "WebFetch"' in end.remedy


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("not_logged_in", ["./baton login", "ANTHROPIC_API_KEY", ".env"]),
        ("api_403", ["ANTHROPIC_API_KEY: replace it", "./baton up"]),
        ("no_credit", ["credit", "./baton unpause"]),
        ("max_turns", ["max_turns", "./baton retry ID --resume"]),
        ("max_budget", ["max_budget_usd"]),
        ("unknown_model", ["options"]),
        ("denied", ["Bash(touch made)"]),
    ],
)
def test_a_remedy_says_what_to_do(name: str, words: list[str]) -> None:
    end = conclude(recorded(name), FAILED, NOW, "fail")
    for word in words:
        assert word in end.remedy


def test_a_tool_that_was_at_work_for_too_long_is_named() -> None:
    end = conclude(folded(), stopped("tool_timed_out", tool="Bash"), NOW)
    assert end.outcome is Outcome.TIMED_OUT
    assert "its tool Bash was at work" in end.message
    assert "`max_tool_runtime`" in end.remedy


def test_the_conclusion_carries_what_the_result_says() -> None:
    end = conclude(recorded("structured"), CLEAN, NOW)
    assert end.structured == {"answer": 42}
    assert (end.turns or 0) >= 1
    assert end.session_id == "00000000-0000-4000-8000-000000000001"
    assert (end.cost_usd or 0) > 0
    assert (end.duration_s or 0) > 0
    assert msgspec.json.decode(msgspec.json.encode(end), type=Conclusion) == end


def test_a_killed_run_takes_its_duration_from_the_exit() -> None:
    assert of(Exit(signal=9, started_at=10.0, ended_at=12.5), KEYED).duration_s == 2.5


@pytest.mark.parametrize(
    "text",
    ["No conversation found with session ID: x", "Error: Session ID x is already in use."],
)
def test_a_refused_session_is_told(text: str) -> None:
    assert of(Exit(exit_code=1, stderr_tail=text)).session_gone
    assert of(FAILED, {**ABORTED, "errors": [text], "terminal_reason": None}).session_gone
    assert not of(FAILED, KEYED, bad("x", 400)).session_gone


def test_what_others_print_beside_a_run_says_nothing_of_its_session() -> None:
    """A hook or a claude within Claude: the run itself has had its answers, and its success stands."""
    text = "No conversation found with session ID: x"
    end = conclude(recorded("success"), Exit(exit_code=0, stderr_tail=text), NOW)
    assert (end.outcome.value, end.session_gone) == ("succeeded", False)


def test_foreign_words_cannot_fill_a_message_or_break_its_line() -> None:
    end = of(Exit(exit_code=1, stderr_tail="Error: a\n\x1b[31mred " + "x" * 5000))
    assert len(end.message) < 500
    assert end.message.isprintable()
    assert end.reset_at is None or int(end.reset_at)


BERLIN = ZoneInfo("Europe/Berlin")


def at(year: int, month: int, day: int, hour: int, minute: int = 0, zone: Any = UTC) -> float:
    return datetime(year, month, day, hour, minute, tzinfo=zone).timestamp()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("You've hit your session limit · resets 11:01pm (UTC)", at(2026, 11, 22, 23, 1)),
        ("You've hit your session limit · resets 8:32pm (UTC)", at(2026, 11, 23, 20, 32)),
        ("resets 3pm (Europe/Berlin)", at(2026, 11, 23, 15, zone=BERLIN)),
        ("resets 11:30pm (Europe/Berlin)", at(2026, 11, 22, 23, 30, zone=BERLIN)),
        ("resets 12am (UTC)", at(2026, 11, 23, 0)),
        ("resets 12pm (UTC)", at(2026, 11, 23, 12)),
        ("resets at 20:15 (UTC)", at(2026, 11, 23, 20, 15)),
        ("resets Nov 24, 3pm (UTC)", at(2026, 11, 24, 15)),
        ("resets Nov 24 at 3:30pm (UTC)", at(2026, 11, 24, 15, 30)),
        ("resets Jan 2, 9am (UTC)", at(2027, 1, 2, 9)),
        ("resets Jan 2, 2028, 9am (Europe/Berlin)", at(2028, 1, 2, 9, zone=BERLIN)),
        ("resets 3pm", at(2026, 11, 23, 15)),
        ("resets 3pm (Nowhere/Land)", at(2026, 11, 23, 15)),
        ("resets 9:59pm (UTC)", at(2026, 11, 22, 21, 59)),  # a minute ago: the CLI drops seconds
        ("resets 9:57pm (UTC)", at(2026, 11, 23, 21, 57)),
        ("Claude AI usage limit reached|1795388491", 1795388491.0),
        ("resets Feb 30, 3pm (UTC)", None),
        ("resets 25:10 (UTC)", None),
        ("resets in a while", None),
        ("resets 3", None),
        ("it resets 3 times", None),
        ("", None),
    ],
)
def test_the_reset_time_is_read_from_the_text(text: str, expected: float | None) -> None:
    assert complaints.reset_time(text, NOW) == expected


def test_a_reset_across_a_change_of_clocks_keeps_the_hour() -> None:
    before = at(2026, 10, 24, 20, zone=BERLIN)  # clocks go back in the night
    expected = at(2026, 10, 25, 15, zone=BERLIN)
    assert complaints.reset_time("resets 3pm (Europe/Berlin)", before) == expected


def test_the_event_is_believed_before_the_text() -> None:
    text = "You've hit your session limit · resets 11:01pm (UTC)"
    event = {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": 5}}
    assert of(FAILED, event, bad(text, 429)).reset_at == 5
    assert of(FAILED, bad(text, 429)).reset_at == at(2026, 11, 22, 23, 1)
    assert of(FAILED, bad("API Error: Request rejected (429)", 429)).reset_at is None
    assert (conclude(recorded("subscription_rejected"), FAILED, NOW).reset_at or 0) > NOW


WORDS = st.sampled_from(
    [
        "",
        "rejected",
        "success",
        "<synthetic>",
        "resets 3pm (UTC)",
        "Error: x",
        "text",
        "429",
        "tool",
    ]
)
KEYS = st.sampled_from(
    [
        "type", "subtype", "message", "content", "text", "model", "error", "error_status", "attempt",
        "result", "is_error", "errors", "terminal_reason", "api_error_status", "duration_ms", "line",
        "permission_denials", "tool_name", "tool_input", "command", "rate_limit_info", "status",
        "resetsAt", "total_cost_usd", "num_turns", "usage", "session_id", "structured_output",
    ]
)  # fmt: skip
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=20,
)
KINDS = ["system", "assistant", "user", "result", "rate_limit_event", "garbled", "unheard_of"]


@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.dictionaries(KEYS, JUNK)), max_size=4),
    st.sampled_from([CLEAN, FAILED, stopped("cancelled"), stopped("timed_out"), Exit(signal=9)]),
)
def test_no_stream_breaks_the_conclusion(rows: list[tuple[str, Event]], ended: Exit) -> None:
    summary = folded(*(event | {"type": kind} for kind, event in rows))
    end = conclude(summary, ended, NOW)
    early(summary)
    assert summary.events == len(rows)
    assert end.outcome in Outcome
    assert end.message.isprintable()
    assert end.reset_at is None or int(end.reset_at)
    msgspec.json.encode(end)
