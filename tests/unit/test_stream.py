"""The stream's framing and folding, on recordings of the real CLI and on lines made to hurt."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.stream import Event, Summary, fold, frame

STREAMS = Path(__file__).parent.parent / "data" / "streams"


def folded(*events: Event) -> Summary:
    summary = Summary()
    for event in events:
        summary = fold(summary, event)
    return summary


def recorded(name: str) -> Summary:
    events, rest = frame((STREAMS / f"{name}.jsonl").read_bytes())
    assert rest == b""
    return folded(*events)


def said(text: str, **more: Any) -> Event:
    content = [{"type": "text", "text": text}]
    return {"type": "assistant", "message": {"model": "claude", "content": content}, **more}


def test_a_line_is_an_event_and_the_rest_waits() -> None:
    assert frame(b'{"a":1}\n{"b":2}\n{"c"') == ([{"a": 1}, {"b": 2}], b'{"c"')


def test_empty_lines_are_nothing() -> None:
    assert frame(b"\n  \r\n\n") == ([], b"")


@pytest.mark.parametrize(
    "line", [b"Error: no", b"[1]", b"null", b'{"a":', b"\xff\xfe", b"[" * 20_000]
)
def test_a_line_that_is_no_object_is_kept_as_garbled(line: bytes) -> None:
    events, _ = frame(line + b'\n{"type":"x"}\n')
    assert [event["type"] for event in events] == ["garbled", "x"]
    assert events[0]["line"] == line.decode("utf-8", "replace")[:2_000]


@given(st.lists(st.dictionaries(st.text(), st.text())), st.integers(1, 40))
def test_how_the_bytes_are_cut_changes_nothing(rows: list[dict[str, str]], size: int) -> None:
    data = b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
    events: list[Event] = []
    rest = b""
    for start in range(0, len(data), size):
        more, rest = frame(rest + data[start : start + size])
        events += more
    assert (events, rest) == (rows, b"")


def test_a_success_is_read_whole() -> None:
    summary = recorded("success")
    assert summary.text == "The answer is 42."
    assert summary.session_id == "00000000-0000-4000-8000-000000000001"
    assert summary.api_key_source == "ANTHROPIC_API_KEY"
    assert summary.version is not None
    assert summary.turns == 1
    assert summary.cost_usd is not None
    assert summary.cost_usd > 0
    assert summary.usage is not None
    assert summary.usage["output_tokens"] > 0
    assert summary.alive
    assert summary.denials == []
    assert summary.complaint == ""


def test_structured_output_and_denials_come_from_the_result() -> None:
    structured = recorded("structured").result
    assert structured is not None
    assert structured["structured_output"] == {"answer": 42}
    assert [denial["tool_name"] for denial in recorded("denied").denials] == ["Bash"]


def test_a_pending_retry_is_forgotten_when_the_api_answers() -> None:
    retry = {"type": "system", "subtype": "api_retry", "attempt": 1, "error_status": 529}
    assert folded(retry).api_retry == retry
    assert folded(retry, said("hello")).api_retry is None
    assert recorded("api_401_retry").api_retry is not None
    assert not recorded("api_401_retry").alive


def test_the_clis_own_words_are_told_from_the_models() -> None:
    assert recorded("subscription_rejected").complaint.startswith("You've hit your session limit")
    assert recorded("max_turns").complaint == "Reached maximum number of turns (1)"
    assert not recorded("not_logged_in").alive
    refused = folded(said("Your credit balance is too low"), {"type": "result", "is_error": False})
    assert refused.complaint == ""


def test_a_subagents_words_are_not_the_tasks() -> None:
    summary = folded(said("main"), said("inner", parent_tool_use_id="toolu_1"))
    assert summary.text == "main"


def test_extra_usage_that_is_paid_for_is_no_limit() -> None:
    event = {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected"}}
    paid = {"rate_limit_info": {"status": "rejected", "isUsingOverage": True}}
    assert folded(event).limited
    assert not folded(event | paid).limited
    assert not recorded("subscription_warning").limited
    assert recorded("subscription_rejected").limited
