"""Claude's stream, line by line, folded into what an attempt must know. Pure: no clock, no disk.

The events are those of `claude -p --output-format stream-json`; the message types of the Python
package claude-agent-sdk are their reference.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from consumers.usage import Call, folded

Event = dict[str, Any]

SYNTHETIC = "<synthetic>"
"""The model of a message that the CLI wrote itself, about an error."""

LONGEST_GARBLED = 2_000
"""Characters kept of a line that is no JSON object."""


class Summary(msgspec.Struct, frozen=True):
    """What a stream has said so far."""

    events: int = 0
    session_id: str | None = None
    model: str | None = None
    version: str | None = None
    api_key_source: str | None = None
    """What the CLI says it pays with: `none` is a login or an OAuth token."""
    text: str = ""
    """The latest words of the main conversation; in the end the result's."""
    synthetic: bool = False
    """Those words are the CLI's own (an error), not the model's."""
    error: str | None = None
    """The CLI's code for that error: authentication_failed, billing_error, rate_limit …"""
    alive: bool = False
    """The API has answered: a closed gate may open."""
    api_retry: Event | None = None
    """The latest announced retry that no answer has followed yet."""
    rate_limit: Event | None = None
    """The latest rate_limit_info: status, resetsAt (Unix seconds), rateLimitType …"""
    calls: dict[str, Call] = {}
    """What each answer of the API used, by the id of its message: a result says it better."""
    garbled: str = ""
    """The first line that was no JSON object: the CLI prints some errors as plain text."""
    result: Event | None = None

    @property
    def denials(self) -> list[Event]:
        """The tool calls that were not allowed, as the result lists them."""
        listed = (self.result or {}).get("permission_denials")
        rows = listed if isinstance(listed, list) else []
        return [row for row in rows if isinstance(row, dict)]

    @property
    def cost_usd(self) -> float | None:
        """What the result says; None before there is one. Newer CLIs count the whole session: see bill.py."""
        return number((self.result or {}).get("total_cost_usd"))

    @property
    def usage(self) -> Event | None:
        """The result's token counts."""
        usage = (self.result or {}).get("usage")
        return usage if isinstance(usage, dict) else None

    @property
    def turns(self) -> int | None:
        """The result's number of turns."""
        turns = number((self.result or {}).get("num_turns"))
        return None if turns is None else int(turns)

    @property
    def complaint(self) -> str:
        """The CLI's own words about what went wrong, never the model's; empty when there are none."""
        result = self.result or {}
        if result.get("is_error") and isinstance(result.get("result"), str):
            return str(result["result"])
        if self.synthetic:
            return self.text
        return "\n".join(errors_of(result))

    @property
    def aborted(self) -> bool:
        """The result only says that claude was told to stop."""
        return str((self.result or {}).get("terminal_reason", "")).startswith("aborted")

    @property
    def limited(self) -> bool:
        """The subscription's limit is reached, and no paid extra usage takes its place."""
        limit = self.rate_limit or {}
        return limit.get("status") == "rejected" and not limit.get("isUsingOverage")


def errors_of(result: Mapping[str, Any]) -> list[str]:
    """The errors that a result lists, without what the CLI notes there for its own developers."""
    errors = result.get("errors")
    said = map(str, errors) if isinstance(errors, list) else ()
    return [words for words in said if not words.startswith("[ede_diagnostic]")]


def frame(buffer: bytes) -> tuple[list[Event], bytes]:
    """Cut the whole lines off a buffer; what follows the last newline is the rest.

    A line that is no JSON object becomes `{"type": "garbled", "line": …}`; an empty one nothing.
    """
    *lines, rest = buffer.split(b"\n")
    return [_event(line) for line in lines if line.strip()], rest


def fold(summary: Summary, event: Event) -> Summary:
    """The summary with one more event in it. Unknown events are counted and otherwise ignored."""
    step = _STEPS.get(str(event.get("type")))
    changes = step(summary, event) if step else {}
    return msgspec.structs.replace(summary, events=summary.events + 1, **changes)


def number(value: object) -> float | None:
    """The value if it is a finite number (JSON as Python reads it may hold NaN), else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < float("inf") else None


def _event(line: bytes) -> Event:
    words = line.decode("utf-8", "replace")
    try:
        value = json.loads(words)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        return value
    return {"type": "garbled", "line": words.strip()[:LONGEST_GARBLED]}


def _system(_: Summary, event: Event) -> Event:
    if event.get("subtype") == "api_retry":
        return {"api_retry": event}
    if event.get("subtype") != "init":
        return {}
    return {
        "session_id": _text(event, "session_id"),
        "model": _text(event, "model"),
        "version": _text(event, "claude_code_version"),
        "api_key_source": _text(event, "apiKeySource"),
    }


def _assistant(summary: Summary, event: Event) -> Event:
    message = event.get("message")
    if not isinstance(message, dict):
        return {}
    synthetic = message.get("model") == SYNTHETIC
    changes: Event = {}
    if not synthetic:
        calls = folded(summary.calls, message)  # also a subagent's: it is paid for as well
        changes = {"alive": True, "api_retry": None, "calls": calls}
    if event.get("parent_tool_use_id") is not None:  # a subagent's words are not the task's
        return changes
    words = _words(message.get("content"))
    changes |= {
        "text": words or summary.text,
        "synthetic": synthetic,
        "error": _text(event, "error"),
    }
    return changes


def _words(content: object) -> str:
    blocks = content if isinstance(content, list) else []
    texts = (block.get("text") for block in blocks if isinstance(block, dict))
    return "\n".join(text for text in texts if isinstance(text, str))


def _rate_limit(summary: Summary, event: Event) -> Event:
    info = event.get("rate_limit_info")
    return {"rate_limit": info if isinstance(info, dict) else summary.rate_limit}


def _result(summary: Summary, event: Event) -> Event:
    text = event.get("result")
    return {
        "result": event,
        "session_id": _text(event, "session_id") or summary.session_id,
        "text": text if isinstance(text, str) else summary.text,
    }


def _garbled(summary: Summary, event: Event) -> Event:
    return {"garbled": summary.garbled or _text(event, "line") or ""}


def _text(event: Event, key: str) -> str | None:
    value = event.get(key)
    return value if isinstance(value, str) else None


_STEPS = {
    "system": _system,
    "assistant": _assistant,
    "rate_limit_event": _rate_limit,
    "result": _result,
    "garbled": _garbled,
}
