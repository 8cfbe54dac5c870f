"""Claude's stream of events as lines that a person can read; pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

# A tool's input and output are cut here: the whole of it stays in stream.jsonl.
_LONGEST = 400
_LINES = 8


def lines(event: Mapping[str, Any]) -> Iterator[str]:
    """Return what one event of `claude --output-format stream-json` says, line by line.

    Unknown events say nothing: the format grows with every version.
    """
    match event.get("type"):
        case "system":
            yield from _system(event)
        case "assistant" | "user":
            yield from _message(event)
        case "result":
            yield from _result(event)
        case "rate_limit_event":
            yield from _limit(event)
        case "garbled":
            yield "? a line that is no JSON"


def _system(event: Mapping[str, Any]) -> Iterator[str]:
    if event.get("subtype") == "init":
        yield f"* session {event.get('session_id')} with {event.get('model')}"
    elif event.get("subtype") == "api_retry":
        yield f"! the API answered {event.get('error_status')} {event.get('error', '')}; trying again"


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
        given = json.dumps(block.get("input", {}), ensure_ascii=False)
        yield f"> {block.get('name')} {_cut(given)}"
    elif kind == "tool_result":
        mark = "!" if block.get("is_error") else "<"
        yield from _indented(mark, _plain(block.get("content")))


def _plain(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return "" if content is None else str(content)


def _indented(mark: str, text: str) -> Iterator[str]:
    found = text.splitlines()
    for line in found[:_LINES]:
        yield f"{mark} {_cut(line)}"
    if len(found) > _LINES:
        yield f"{mark} … {len(found) - _LINES} more lines"


def _result(event: Mapping[str, Any]) -> Iterator[str]:
    ok = "failed" if event.get("is_error") else "done"
    cost = float(event.get("total_cost_usd") or 0)
    seconds = float(event.get("duration_ms") or 0) / 1000
    yield f"= {ok}: {event.get('num_turns', 0)} turns, {seconds:.1f} s, ${cost:.4f}"
    if event.get("is_error"):
        yield from _indented("=", str(event.get("result") or event.get("errors") or ""))
    for denied in event.get("permission_denials") or []:
        yield f"= denied: {denied.get('tool_name')} {_cut(json.dumps(denied.get('tool_input')))}"


def _limit(event: Mapping[str, Any]) -> Iterator[str]:
    info = event.get("rate_limit_info") or {}
    if info.get("status") not in (None, "allowed"):
        yield f"! usage limit {info.get('rateLimitType', '')}: {info.get('status')}"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def render(events: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Return the lines of many events."""
    for event in events:
        yield from lines(event)
