"""What the calls to the API in a stream used, folded as they are seen. Pure.

Measured with Claude Code 2.1.197 and 2.1.330: an `assistant` event is written for each content block when that is
complete, with the id of its message and the usage that the API sent at the message's start. So the tokens that went
in are exact; of those that came out it says only how many there were at the start, which is hardly any.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

#: Of JSON, code and English together; a little less than in English, so that a guess is rather too high.
BYTES_PER_TOKEN = 3


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of the API. Tokens."""

    model: str
    input: int = 0
    output: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    cache_read: int = 0
    spoken_bytes: int = 0
    """Of the content that has been seen."""

    @property
    def came_out(self) -> int:
        """The output as the API counted it, or as its content lets expect, whichever is more."""
        return max(self.output, -(-self.spoken_bytes // BYTES_PER_TOKEN))

    @property
    def prompt(self) -> int:
        """All that went in."""
        return self.input + self.cache_write_5m + self.cache_write_1h + self.cache_read


def folded(calls: Mapping[str, Call], message: Mapping[str, Any]) -> dict[str, Call]:
    """The calls with one more event's message in them: the latest usage of a message is the one that counts."""
    name = message.get("id")
    usage = message.get("usage")
    if not isinstance(name, str) or not isinstance(usage, dict):
        return dict(calls)
    before = calls.get(name)
    spoken = (before.spoken_bytes if before else 0) + _spoken_bytes(message.get("content"))
    return {**calls, name: _call(str(message.get("model") or ""), usage, spoken)}


def _call(model: str, usage: Mapping[str, Any], spoken_bytes: int) -> Call:
    written = whole(usage.get("cache_creation_input_tokens"))
    lives = usage.get("cache_creation")
    hour = whole(lives.get("ephemeral_1h_input_tokens")) if isinstance(lives, dict) else 0
    return Call(
        model=model,
        input=whole(usage.get("input_tokens")),
        output=whole(usage.get("output_tokens")),
        cache_write_5m=max(0, written - hour),
        cache_write_1h=min(written, hour),
        cache_read=whole(usage.get("cache_read_input_tokens")),
        spoken_bytes=spoken_bytes,
    )


def whole(value: object) -> int:
    """A count of tokens; 0 for anything that is none."""
    return value if type(value) is int and 0 <= value < 2**53 else 0


def _spoken_bytes(content: object) -> int:
    blocks = content if isinstance(content, list) else []
    return sum(_size(block) for block in blocks if isinstance(block, dict))


def _size(block: Mapping[str, Any]) -> int:
    """Of the text, the thought or the tool call; what only signs or names a block is no output."""
    said = block.get("text") or block.get("thinking") or block.get("input") or ""
    text = said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
    return len(text.encode("utf-8", "replace"))
