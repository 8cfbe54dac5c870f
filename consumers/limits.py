"""How long a run, a silence and a tool call may last. Pure: the caller reads the stream and the clock.

The clock must stand still while the machine sleeps, so that a laptop's sleep is no timeout. time.monotonic does:
CLOCK_MONOTONIC on Linux (clock_getres(2)), mach_absolute_time on macOS. It is the other way round with the clock
of a lease's deadline, which must go on: see supervision.boot_s.
"""

from __future__ import annotations

from consumers.toolcalls import ToolCalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NEVER = float("inf")


class Limits:
    """The limits that command.json names, in seconds; one that is 0 or absent is none."""

    def __init__(self, command: dict[str, Any], now: float) -> None:
        self._ends = now + (command.get("max_runtime_s") or NEVER)
        self._silence_s = command.get("max_silence_s") or NEVER
        self._tool_s = command.get("max_tool_runtime_s") or NEVER
        self._heard_at = now
        self._calls = ToolCalls()
        self.tool = ""
        """The name of the tool that was at work for too long."""

    def heard(self, data: bytes, now: float) -> None:
        """Take what the stream has grown by."""
        self._heard_at = now
        self._calls.feed(data, now)

    def reached(self, now: float) -> str | None:
        """The reason to stop the run now: timed_out, tool_timed_out or silent.

        A tool at work is no silence: it has a limit of its own, from its announcement. The heartbeats that the CLI
        writes for it meanwhile (every 30 s in 2.1) are no reason to wait longer.
        """
        if now >= self._ends:
            return "timed_out"
        call = self._calls.oldest()
        if call is None:
            return "silent" if now >= self._heard_at + self._silence_s else None
        if now < call.since + self._tool_s:
            return None
        self.tool = call.tool[:100]
        return "tool_timed_out"

    def next_at(self) -> float:
        """The moment at which `reached` may have a reason, unless something is heard before."""
        call = self._calls.oldest()
        own = call.since + self._tool_s if call else self._heard_at + self._silence_s
        return min(self._ends, own)
