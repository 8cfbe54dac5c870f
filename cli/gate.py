"""What a closed gate means to a person: the reason in words, and what opens it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
    what = "all tasks" if entry.scope == "all" else "Claude tasks"
    since = f"since {moment(entry.since_ms)}"
    until = f", until {moment(entry.until_ms)}" if entry.until_ms else ""
    why = f": {entry.why}" if entry.why else ""
    closed = paint(f"gate closed for {what}: {entry.reason}", "red")
    return f"{closed} ({since}{until}){why}\n    → {remedy(entry)}"


def facts(entry: GateEntry) -> dict[str, Any]:
    """Return an entry for `--json`."""
    return {
        "scope": entry.scope,
        "reason": entry.reason,
        "since_ms": entry.since_ms,
        "until_ms": entry.until_ms,
        "by": entry.by,
        "why": entry.why,
        "remedy": remedy(entry),
    }
