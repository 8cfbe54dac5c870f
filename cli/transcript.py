"""Claude's stream of events as lines that a person can read; pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from cli.progress import amount, counted, tokens
from consumers.stream import errors_of

# A tool's input and output are cut here: the whole of it stays in stream.jsonl.
_LONGEST = 400
_LINES = 8
_SUBAGENT = "  | "


def lines(event: Mapping[str, Any]) -> Iterator[str]:
    """Return what one event of `claude --output-format stream-json` says, line by line.

    Unknown events say nothing: the format grows with every version. None is an error, whatever it holds.
    """
    match event.get("type"):
        case "system":
            yield from _system(event)
        case "assistant" | "user":
            before = _SUBAGENT if event.get("parent_tool_use_id") else ""
            yield from (before + line for line in _message(event))
        case "result":
            yield from _result(event)
        case "rate_limit_event":
            yield from _limit(event)
        case "garbled":
            yield f"? {_cut(str(event.get('line', '')))}"


def _system(event: Mapping[str, Any]) -> Iterator[str]:
    if event.get("subtype") == "init":
        version = event.get("claude_code_version")
        by = f" (claude {version})" if version else ""
        yield f"* session {event.get('session_id')} with {event.get('model')}{by}"
    elif event.get("subtype") == "api_retry":
        status = event.get("error_status") or "nothing"
        yield f"! the API answered {status} {event.get('error', '')}; trying again"


def _message(event: Mapping[str, Any]) -> Iterator[str]:
    message = event.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    for block in content if isinstance(content, list) else []:
        if isinstance(block, dict):
            yield from _block(block)


def _block(block: Mapping[str, Any]) -> Iterator[str]:
    kind = block.get("type")
    if kind == "text":
        yield from str(block.get("text", "")).splitlines()
    elif kind == "tool_use":
        yield f"> {block.get('name')} {_given(block.get('input', {}))}"
    elif kind == "tool_result":
        mark = "!" if block.get("is_error") else "<"
        yield from _indented(mark, _plain(block.get("content")))


def _given(value: object) -> str:
    return _cut(json.dumps(value, ensure_ascii=False))


def _plain(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(_part(part) for part in content if isinstance(part, dict))
    return "" if content is None else str(content)


def _part(part: Mapping[str, Any]) -> str:
    kind = part.get("type", "text")
    return str(part.get("text", "")) if kind == "text" else f"({kind})"


def _indented(mark: str, text: str) -> Iterator[str]:
    found = text.splitlines()
    for line in found[:_LINES]:
        yield f"{mark} {_cut(line)}"
    if len(found) > _LINES:
        yield f"{mark} … {len(found) - _LINES} more lines"


def _result(event: Mapping[str, Any]) -> Iterator[str]:
    failed = bool(event.get("is_error"))
    yield f"= {'failed' if failed else 'done'}: {', '.join(_used(event))}"
    if failed:
        yield from _indented("=", str(event.get("result") or "\n".join(errors_of(event))))
    denials = event.get("permission_denials")
    for denied in denials if isinstance(denials, list) else []:
        if isinstance(denied, dict):
            yield f"= denied: {denied.get('tool_name')} {_given(denied.get('tool_input'))}"


def _used(event: Mapping[str, Any]) -> Iterator[str]:
    yield counted(int(amount(event.get("num_turns"))), "turn")
    yield f"{amount(event.get('duration_ms')) / 1000:.1f} s"
    yield f"${amount(event.get('total_cost_usd')):.4f}"
    usage = event.get("usage")
    if isinstance(usage, dict) and (written := int(amount(usage.get("output_tokens")))):
        yield f"{tokens(written)} written"


def _limit(event: Mapping[str, Any]) -> Iterator[str]:
    info = event.get("rate_limit_info")
    if isinstance(info, dict) and info.get("status") not in (None, "allowed"):
        yield f"! usage limit {info.get('rateLimitType', '')}: {info.get('status')}"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
