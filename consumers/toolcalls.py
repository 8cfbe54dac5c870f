"""Which tool calls a stream has announced and not answered yet, and since when. Pure: the time is given.

The runner reads every stream with this, so it keeps nothing of it but the open calls and the head of one line,
and imports no more than the runner does. consumers/stream.py reads the same events for a consumer, in full.
"""

from __future__ import annotations

from consumers import light

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HEAD = 65_536
"""Bytes kept of a line. Files and images that a tool gives back make longer ones; whose they are stands in front."""

AGENTS = frozenset({"Agent", "Task"})
"""No tools at work but conversations: their own events, or the lack of them, say how they are."""

_RESULT = b'"tool_use_id":"'
_CALL = b'"type":"tool_use","id":"'
_NAME = b'"name":"'


class Call:
    """One call at work: of `tool`, announced at `since` in `message` of `conversation` (None: the main one)."""

    __slots__ = ("conversation", "message", "since", "tool")

    def __init__(self, tool: str, conversation: object, message: object, since: float) -> None:
        self.tool, self.since = tool, since
        self.conversation, self.message = conversation, message


class ToolCalls:
    """Fed with a stream as it grows."""

    def __init__(self) -> None:
        self._open: dict[str | None, Call] = {}
        self._rest = b""

    def feed(self, data: bytes, now: float) -> None:
        """Take the next bytes of the stream, which came at `now`; a line may come in pieces."""
        *lines, rest = (self._rest + data).split(b"\n")
        for line in lines:
            if len(line) >= HEAD:
                self._huge(line, now)
            elif b'"tool_' in line or b'"assistant"' in line:
                self._event(_object(line), now)
        self._rest = rest[:HEAD]

    def oldest(self) -> Call | None:
        """The call that has been at work for the longest; None when no tool is at work."""
        return min(self._open.values(), key=lambda call: call.since, default=None)

    def _event(self, event: dict[str, Any], now: float) -> None:
        kind, message = event.get("type"), event.get("message")
        if kind not in ("assistant", "user") or not isinstance(message, dict):
            return
        conversation = _text(event, "parent_tool_use_id")
        self._open.pop(conversation, None)  # a call that became a conversation
        if kind == "assistant":
            self._answered(conversation, message.get("id"))
        for block in _blocks(message):
            if block.get("type") == "tool_result":
                self._open.pop(_text(block, "tool_use_id"), None)
            elif block.get("type") == "tool_use" and kind == "assistant":
                call = Call(str(block.get("name")), conversation, message.get("id"), now)
                self._announced(_text(block, "id"), call)

    def _answered(self, conversation: object, message: object) -> None:
        """The model speaks on only when all its calls have their results, also those that we could not read."""
        over = [
            key
            for key, call in self._open.items()
            if call.conversation == conversation and call.message != message
        ]
        for key in over:
            del self._open[key]

    def _announced(self, key: str | None, call: Call) -> None:
        if key is not None and call.tool not in AGENTS:
            self._open.setdefault(key, call)

    def _huge(self, line: bytes, now: float) -> None:
        """A line that was not kept whole. Inside its texts every quote is escaped, so these words are its own."""
        if result := _word_after(line, _RESULT):
            self._open.pop(result, None)
        elif (call := _word_after(line, _CALL)) and (name := _word_after(line, _NAME)):
            self._announced(call, Call(name, None, None, now))


def _object(line: bytes) -> dict[str, Any]:
    try:
        event = light.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def _blocks(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    return (
        [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    )


def _text(row: dict[str, Any], name: str) -> str | None:
    value = row.get(name)
    return value if isinstance(value, str) else None


def _word_after(line: bytes, mark: bytes) -> str:
    start = line.find(mark)
    end = line.find(b'"', start + len(mark))
    return line[start + len(mark) : end].decode("ascii", "replace") if 0 <= start < end else ""
