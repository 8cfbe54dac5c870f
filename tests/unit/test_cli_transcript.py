"""Claude's events as lines."""

from typing import Any

import pytest

from cli.transcript import lines


def assistant(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"type": "assistant", "message": {"content": list(blocks)}}


def tool_result(content: object, **more: object) -> dict[str, Any]:
    block = {"type": "tool_result", "content": content, **more}
    return {"type": "user", "message": {"content": [block]}}


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (
            {"type": "system", "subtype": "init", "session_id": "s1", "model": "m"},
            ["* session s1 with m"],
        ),
        (assistant({"type": "text", "text": "one\ntwo"}), ["one", "two"]),
        (
            assistant({"type": "tool_use", "name": "Bash", "input": {"command": "ls"}}),
            ['> Bash {"command": "ls"}'],
        ),
        (tool_result("a\nb"), ["< a", "< b"]),
        (tool_result([{"type": "text", "text": "no"}], is_error=True), ["! no"]),
        (
            tool_result("\n".join("abcdefghijkl")),
            [*(f"< {c}" for c in "abcdefgh"), "< … 4 more lines"],
        ),
        (
            {"type": "result", "num_turns": 2, "duration_ms": 1500, "total_cost_usd": 0.01},
            ["= done: 2 turns, 1.5 s, $0.0100"],
        ),
        (
            {"type": "result", "is_error": True, "result": "400 bad"},
            ["= failed: 0 turns, 0.0 s, $0.0000", "= 400 bad"],
        ),
        (
            {"type": "result", "is_error": True, "errors": ["[ede_diagnostic] x", "no room"]},
            ["= failed: 0 turns, 0.0 s, $0.0000", "= no room"],
        ),
        (
            {
                "type": "rate_limit_event",
                "rate_limit_info": {"status": "rejected", "rateLimitType": "five_hour"},
            },
            ["! usage limit five_hour: rejected"],
        ),
        ({"type": "rate_limit_event", "rate_limit_info": {"status": "allowed"}}, []),
        (
            {"type": "system", "subtype": "api_retry", "error_status": 401, "error": "no"},
            ["! the API answered 401 no; trying again"],
        ),
        ({"type": "garbled", "line": "Error: no"}, ["? Error: no"]),
        (
            {"parent_tool_use_id": "t1", **assistant({"type": "text", "text": "a subagent"})},
            ["  | a subagent"],
        ),
        ({"type": "of a later version"}, []),
        ({"type": "assistant", "message": "surprise"}, []),
        ({}, []),
    ],
)
def test_an_event_is_told_in_these_lines(event: dict[str, Any], expected: Any) -> None:
    assert list(lines(event)) == expected


def test_a_denied_tool_is_named() -> None:
    denial = {"tool_name": "Bash", "tool_input": {"command": "rm"}}
    event = {"type": "result", "permission_denials": [denial]}
    assert '= denied: Bash {"command": "rm"}' in list(lines(event))


def test_a_long_line_is_cut() -> None:
    [line] = lines(tool_result("x" * 10_000))
    assert len(line) < 500
