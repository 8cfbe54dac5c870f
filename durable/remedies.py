"""What opens the gate, by the reason for which it is closed: for all that tell people of it."""

from __future__ import annotations

from durable.records import GateEntry

REMEDIES = {
    "pause": "./baton unpause",
    "login": "./baton login; after another change ./baton unpause login (one task tries now and then)",
    "billing": "see to your credit; one task tries now and then, or at once: ./baton unpause billing",
    "budget": "wait for tomorrow, or raise budget_usd_per_day in baton.yaml and run ./baton up",
    "token budget": (
        "wait for tomorrow, or raise budget_tokens_per_day in baton.yaml and run ./baton up"
    ),
    "usage limit": "wait; or try at once: ./baton unpause usage limit",
    "claude missing": "npm install -g @anthropic-ai/claude-code, or set claude.command in baton.yaml",
}


def remedy(entry: GateEntry) -> str:
    """Return what opens the gate for this reason."""
    return REMEDIES.get(entry.reason, f"./baton unpause {entry.reason}")
