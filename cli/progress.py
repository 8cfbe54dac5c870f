"""What an attempt has used so far, from the events of its stream; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from consumers.stream import number

_READ = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
_MOST = 1e15


class Progress:
    """Counts turns and the tokens that they read; fed with each event once.

    Claude reports a message once for each block, with the same id and the same usage, and names what was
    written only in its result: so written tokens are not counted here.
    """

    def __init__(self) -> None:
        self._messages: dict[str, int] = {}
        self._told = 0

    def take(self, event: Mapping[str, Any]) -> None:
        """Note what the event says was used."""
        message = event.get("message")
        if event.get("type") != "assistant" or not isinstance(message, dict):
            return
        usage, name = message.get("usage"), message.get("id")
        if (
            isinstance(usage, dict)
            and isinstance(name, str)
            and message.get("model") != "<synthetic>"
        ):
            self._messages[name] = sum(int(amount(usage.get(word))) for word in _READ)

    def news(self, event: Mapping[str, Any]) -> str:
        """Return what was used so far in words, once after each turn: before `event`, which ends it."""
        if event.get("type") != "user" or len(self._messages) == self._told:
            return ""
        self._told = len(self._messages)
        return f"so far: {counted(self._told, 'turn')}, {tokens(sum(self._messages.values()))} read"


def counted(count: int, word: str) -> str:
    """Return a number with its word: 1 turn, 2 turns."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def tokens(count: int) -> str:
    """Return tokens as people speak of them: 480 tokens, 19.1k tokens, 1.25M tokens."""
    if count < 1_000:
        return f"{count} tokens"
    return f"{count / 1e3:.1f}k tokens" if count < 1_000_000 else f"{count / 1e6:.2f}M tokens"


def amount(value: object) -> float:
    """Return a number of the stream; 0 for anything else, and for one that nothing here can count."""
    found = number(value)
    return found if found is not None and abs(found) < _MOST else 0
