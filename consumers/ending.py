"""The words for how an attempt ends: the closed list of outcomes, the exit, the conclusion."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec


class Outcome(StrEnum):
    """How an attempt ended. What follows from each stands in ARCHITECTURE.md."""

    SUCCEEDED = "succeeded"
    """A complete result without an error, nothing denied, and `verify` and `json_schema` agree."""
    UNVERIFIED = "unverified"
    """The verify command or the JSON schema said no."""
    DENIED = "denied"
    """Claude was not allowed to use a tool that it asked for."""
    INTERRUPTED = "interrupted"
    """We stopped it: shutdown, deadline, lost lease, gate."""
    CRASHED = "crashed"
    """It ended without a result."""
    USAGE_LIMIT = "usage_limit"
    """The subscription's or the key's limit is reached, until a reset time."""
    OVERLOADED = "overloaded"
    """The API or the network did not answer; trying again later helps."""
    AUTH = "auth"
    """Not logged in, or the credential is refused."""
    BILLING = "billing"
    """No credit left, or a spending limit is reached."""
    REJECTED = "rejected"
    """What was asked cannot be done as it is: trying again would say the same."""
    MAX_TURNS = "max_turns"
    """`max_turns` was reached."""
    MAX_BUDGET = "max_budget"
    """`max_budget_usd` was reached."""
    TIMED_OUT = "timed_out"
    """`max_runtime` was reached, or `max_tool_runtime` by one of its tools."""
    SILENT = "silent"
    """No event came for `max_silence`, and no tool was at work."""
    CANCELLED = "cancelled"
    """A person cancelled it."""


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """How the process ended: the content of exit.json, and what was found around it."""

    exit_code: int | None = None
    signal: int | None = None
    stopped: str | None = None
    """Our own reason for stopping it, or None when it ended by itself."""
    tool: str = ""
    """The tool that was at work for too long, where that was the reason."""
    spawn_error: str | None = None
    """Why it never started; None when it did."""
    spawn_errno: int | None = None
    """The system's number for that, where the call was at fault and not the runner (errno(3))."""
    lost_runner: bool = False
    """The runner is gone without a word; it was killed itself."""
    leftovers: int = 0
    """Processes that had to be killed after claude."""
    survivors: int = 0
    """Processes that even SIGKILL did not end."""
    started_at: float | None = None
    ended_at: float | None = None
    max_rss_kb: int = 0
    cpu_s: float = 0.0
    stderr_tail: str = ""


class Conclusion(msgspec.Struct, frozen=True, kw_only=True):
    """One outcome, with everything that a record, a result and a person need of it."""

    outcome: Outcome
    message: str
    """One plain sentence: what happened."""
    remedy: str = ""
    """What to do about it; empty where there is nothing to do."""
    reset_at: float | None = None
    """Unix seconds at which a limit ends, where it says so."""
    session_gone: bool = False
    """Claude refused the session id: the next attempt needs a fresh one."""
    text: str = ""
    structured: Any = None
    session_id: str | None = None
    cost_usd: float | None = None
    turns: int | None = None
    duration_s: float | None = None
    usage: dict[str, Any] | None = None
