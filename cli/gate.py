"""What a closed gate means to a person: the reason in words, and what opens it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli.queue import SHORT
from cli.terminal import moment, paint

if TYPE_CHECKING:
    from durable.records import GateEntry

REMEDIES = {
    "pause": "./baton unpause",
    "login": "./baton login",
    "billing": "see to your credit, then ./baton unpause billing",
    "budget": "raise budget_usd_per_day in baton.yaml and run ./baton up, or wait for tomorrow",
    "usage limit": "wait; or try at once: ./baton unpause usage limit",
    "claude missing": "npm install -g @anthropic-ai/claude-code, or set claude.command in baton.yaml",
}


def remedy(entry: GateEntry) -> str:
    """Return what opens the gate for this reason."""
    return REMEDIES.get(entry.reason, f"./baton unpause {entry.reason}")


def sentence(entry: GateEntry) -> str:
    """Return one line about an entry: what it stops, since when, until when, and the remedy."""
    since = f"since {moment(entry.since_ms)}"
    until = f", until {moment(entry.until_ms)}" if entry.until_ms else ""
    trying = f"; task {entry.probe[:SHORT]} tries whether it is over" if entry.probe else ""
    why = f": {entry.why}" if entry.why else ""
    closed = paint(f"gate closed for {closed_for(entry.scope)}: {entry.reason}", "red")
    return f"{closed} ({since}{until}{trying}){why}\n    → {remedy(entry)}"


def closed_for(scope: str) -> str:
    """Return whom an entry of this scope keeps back."""
    if scope == "all":
        return "all tasks"
    credential = scope.partition(":")[2]
    paying = f" that pay by {credential}" if credential not in ("", "default") else ""
    return "Claude tasks" + paying


def facts(entry: GateEntry) -> dict[str, Any]:
    """Return an entry for `--json`."""
    return {
        "scope": entry.scope,
        "reason": entry.reason,
        "since_ms": entry.since_ms,
        "until_ms": entry.until_ms,
        "by": entry.by,
        "why": entry.why,
        "probe": entry.probe,
        "remedy": remedy(entry),
    }
