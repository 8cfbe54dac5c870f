"""Which tool is at work, by recorded streams and by broken ones; and the limits that go by it."""

import json
from pathlib import Path
from typing import Any

import pytest

from consumers.limits import Limits
from consumers.toolcalls import HEAD, ToolCalls

STREAMS = Path(__file__).parent.parent / "data" / "streams"


def line(
    kind: str, *blocks: dict[str, Any], message: str = "m1", parent: str | None = None
) -> bytes:
    event = {"type": kind, "message": {"id": message, "content": list(blocks)}}
    return (
        json.dumps(event | {"parent_tool_use_id": parent}, separators=(",", ":")).encode() + b"\n"
    )


def call(key: str, tool: str = "Bash", **given: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": key, "name": tool, "input": given}


def result(key: str, content: str = "done") -> dict[str, Any]:
    return {"tool_use_id": key, "type": "tool_result", "content": content}


TEXT = {"type": "text", "text": "I see."}
HEARTBEAT = (
    b'{"type":"tool_progress","tool_use_id":"a-heartbeat-0","tool_name":"Bash","parent_tool_use_id":"a",'
    b'"elapsed_time_seconds":30,"heartbeat":true}\n'
)
LONG = "x" * 3 * HEAD


def recorded(name: str) -> bytes:
    return (STREAMS / f"{name}.jsonl").read_bytes()


CASES: dict[str, tuple[bytes, str | None]] = {
    "nothing yet": (b"", None),
    "a text": (line("assistant", TEXT), None),
    "a call": (line("assistant", call("a")), "Bash"),
    "a call with its result": (line("assistant", call("a")) + line("user", result("a")), None),
    "a heartbeat is no answer": (line("assistant", call("a")) + HEARTBEAT, "Bash"),
    "one of two has its result": (
        line("assistant", call("a"))
        + line("assistant", call("b", "Read"))
        + line("user", result("a")),
        "Read",
    ),
    "two calls in one event": (
        line("assistant", call("a"), call("b", "Read")) + line("user", result("b")),
        "Bash",
    ),
    "a missing result, and the model speaks on": (
        line("assistant", call("a")) + line("assistant", TEXT, message="m2"),
        None,
    ),
    "a garbled result, and the model speaks on": (
        line("assistant", call("a"))
        + line("user", result("a"))[:60]
        + b"\n"
        + line("assistant", call("b", "Grep"), message="m2"),
        "Grep",
    ),
    "a subagent is no tool": (line("assistant", call("a", "Agent")), None),
    "a subagent's tool": (
        line("assistant", call("a", "Task"))
        + line("user", result("a"))
        + line("assistant", call("b", "Grep"), parent="a")
        + line("assistant", TEXT, message="m2"),
        "Grep",
    ),
    "a call that turns out to be a conversation": (
        line("assistant", call("a", "Skill")) + line("assistant", TEXT, parent="a", message="m2"),
        None,
    ),
    "a line that is not whole yet": (line("assistant", call("a"))[:-1], None),
    "garbled lines": (
        b"}{\n\xff\xfe\n[]\n" + b"[" * 2000 + b'"tool_use"\n' + line("assistant", call("a")),
        "Bash",
    ),
    "words of the wrong kind": (
        b'{"type":"assistant","message":{"content":[1,{"type":"tool_use"}]}}\n'
        b'{"type":"assistant","message":3}\n'
        + line("assistant", call("a"))
        + b'{"type":"user","message":{"content":"tool_use_id"},"parent_tool_use_id":{}}\n'
        b'{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":["a"]}]}}\n',
        "Bash",
    ),
    "a huge call": (line("assistant", call("a", "Write", content=LONG)), "Write"),
    "a huge result": (line("assistant", call("a")) + line("user", result("a", LONG)), None),
    "a huge result that speaks of results": (
        line("assistant", call("a")) + line("user", result("a", '"tool_use_id":"b"' + LONG)),
        None,
    ),
    "recorded: a tool call with its result": (recorded("bash_success"), None),
    "recorded: stopped while a tool ran": (recorded("sigint_early"), "Bash"),
    "recorded: two tools, one result": (recorded("2.1.330/two_tools"), "Bash"),
    "recorded: a subagent's tool": (recorded("2.1.330/subagent"), "Bash"),
    "recorded: an answer that broke off": (recorded("cut"), None),
}


@pytest.mark.parametrize("pieces", [1_000_000_000, 65_536, 1_000])
@pytest.mark.parametrize("case", CASES)
def test_the_tool_at_work_is_known_however_the_stream_comes(case: str, pieces: int) -> None:
    stream, expected = CASES[case]
    calls = ToolCalls()
    for start in range(0, len(stream), pieces):
        calls.feed(stream[start : start + pieces], 1.0)
    oldest = calls.oldest()
    assert (oldest and oldest.tool) == expected


def test_no_more_than_the_head_of_a_line_is_kept() -> None:
    calls = ToolCalls()
    for _ in range(100):
        calls.feed(b"x" * HEAD, 1.0)
    assert len(calls._rest) == HEAD


# -- the limits

BASH = line("assistant", call("a"))
ASKED = {"max_runtime_s": 100.0, "max_silence_s": 10.0, "max_tool_runtime_s": 40.0}


def test_a_run_is_silent_when_nothing_is_heard_and_no_tool_is_at_work() -> None:
    limits = Limits(ASKED, 0.0)
    limits.heard(line("assistant", TEXT), 5.0)
    assert (limits.next_at(), limits.reached(14.9), limits.reached(15.0)) == (15.0, None, "silent")


def test_a_tool_at_work_is_no_silence_until_its_own_limit() -> None:
    limits = Limits(ASKED, 0.0)
    limits.heard(BASH, 5.0)
    assert (limits.next_at(), limits.reached(44.9)) == (45.0, None)
    assert (limits.reached(45.0), limits.tool) == ("tool_timed_out", "Bash")


def test_heartbeats_do_not_prolong_a_tool_s_time() -> None:
    limits = Limits(ASKED, 0.0)
    limits.heard(BASH, 5.0)
    limits.heard(HEARTBEAT, 35.0)
    assert limits.reached(45.0) == "tool_timed_out"


def test_silence_counts_from_the_result_of_a_long_tool() -> None:
    limits = Limits(ASKED, 0.0)
    limits.heard(BASH, 5.0)
    limits.heard(line("user", result("a")), 44.0)
    assert (limits.reached(53.9), limits.reached(54.0)) == (None, "silent")


def test_the_wall_clock_caps_a_tool_too_and_no_limit_is_none() -> None:
    capped = Limits(ASKED, 0.0)
    capped.heard(BASH, 90.0)
    assert (capped.next_at(), capped.reached(100.0)) == (100.0, "timed_out")
    assert Limits({}, 0.0).reached(1e12) is None
