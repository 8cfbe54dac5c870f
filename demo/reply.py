"""Answers in the shapes of the Messages API: server-sent events, one message, an error.

Pure but for the random ids. Says what is sent and in which order; demo/standin.py sends it.
"""

import json
import re
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

from demo.conversation import Turn, tool_id
from demo.script import ERRORS, Cut, Hang, Say, Use, Wait

Json = dict[str, Any]
Action = Json | Wait | Hang | Cut
BYTES_PER_TOKEN = 4  # close enough for a cost that looks right
UNCACHED_TOKENS = 4


def encode(event: Json) -> bytes:
    """Write one server-sent event."""
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def error(status: int, message: str) -> Json:
    """Build the body of an HTTP error."""
    return {"type": "error", "error": {"type": ERRORS[status][0], "message": message}}


def stream(turn: Turn, model: str, request_bytes: int) -> Iterator[Action]:
    """Give the events of a turn and the pauses and breaks between them, in order."""
    said = usage(turn, request_bytes)
    message = _message(turn, model) | {"usage": said | {"output_tokens": 1}}
    yield {"type": "message_start", "message": message}
    yield {"type": "ping"}
    index = 0
    for step in turn.steps:
        match step:
            case Say(text):
                yield from _text_events(index, text, turn.script.drip_s)
                index += 1
            case Use():
                yield from _tool_events(index, step, turn.number)
                index += 1
                index += 1
            case Wait() | Hang() | Cut():
                yield step
    delta = {"stop_reason": stop_reason(turn), "stop_sequence": None}
    yield {"type": "message_delta", "delta": delta, "usage": said}
    yield {"type": "message_stop"}


def whole(turn: Turn, model: str, request_bytes: int) -> Json:
    """Build the answer to a request that asked for no stream."""
    content: list[Json] = []
    for step in turn.steps:
        match step:
            case Say(text):
                content.append({"type": "text", "text": text})
            case Use(tool, arguments, _):
                content.append(_tool_block(tool, arguments, turn.number))
    return _message(turn, model) | {
        "content": content,
        "stop_reason": stop_reason(turn),
        "usage": usage(turn, request_bytes),
    }


def stop_reason(turn: Turn) -> str:
    """Tell why the turn ends: for a tool call, or because the answer is complete."""
    return "tool_use" if any(isinstance(step, Use) for step in turn.steps) else "end_turn"


def usage(turn: Turn, request_bytes: int) -> Json:
    """Count tokens as if the first turn filled the prompt cache and the later ones read it."""
    cached = request_bytes // BYTES_PER_TOKEN
    first = turn.number == 0
    return {
        "input_tokens": UNCACHED_TOKENS,
        "cache_creation_input_tokens": cached if first else 0,
        "cache_read_input_tokens": 0 if first else cached,
        "output_tokens": sum(len(_spoken(step)) for step in turn.steps) // BYTES_PER_TOKEN + 1,
        "service_tier": "standard",
    }


def _spoken(step: object) -> str:
    match step:
        case Say(text):
            return text
        case Use(tool, arguments, _):
            return tool + json.dumps(arguments)
    return ""


def _message(turn: Turn, model: str) -> Json:
    return {
        "id": f"msg_standin{secrets.token_hex(8)}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _text_events(index: int, text: str, drip_s: float) -> Iterator[Action]:
    start = {"type": "text", "text": ""}
    yield {"type": "content_block_start", "index": index, "content_block": start}
    for chunk in re.findall(r"\s*\S+\s*|\s+", text):
        if drip_s:
            yield Wait(drip_s)
        yield _delta(index, {"type": "text_delta", "text": chunk})
    yield {"type": "content_block_stop", "index": index}


def _tool_events(index: int, step: Use, number: int) -> Iterator[Action]:
    block = _tool_block(step.tool, {}, number)
    yield {"type": "content_block_start", "index": index, "content_block": block}
    arguments = json.dumps(step.input)
    yield _delta(index, {"type": "input_json_delta", "partial_json": arguments})
    yield {"type": "content_block_stop", "index": index}


def _delta(index: int, delta: Json) -> Json:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def _tool_block(tool: str, arguments: Mapping[str, object], number: int) -> Json:
    return {"type": "tool_use", "id": tool_id(number), "name": tool, "input": dict(arguments)}
