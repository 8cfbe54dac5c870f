"""What opens the gate, by the reason for which it is closed: for all that tell people of it."""

from __future__ import annotations

from durable.records import GateEntry

REMEDIES = {
    "pause": "./baton unpause",
    "login": "./baton login; one task tries now and then, or at once: ./baton unpause login",
    "billing": "see to your credit; one task tries now and then, or at once: ./baton unpause billing",
    "budget": "wait for tomorrow, or raise budget_usd_per_day in baton.yaml and run ./baton up",
    "token budget": (
        "wait for tomorrow, or raise budget_tokens_per_day in baton.yaml and run ./baton up"
    ),
    "usage limit": "wait; or try at once: ./baton unpause usage limit",
    "claude missing": "make claude be there (./baton doctor says how); one task looks every minute",
}


def remedy(entry: GateEntry) -> str:
    """Return what opens the gate: what whoever closed it found out, else what helps for this reason."""
    return entry.remedy or usual(entry.reason)


def usual(reason: str) -> str:
    """Return what opens the gate where nothing is known but the reason."""
    return REMEDIES.get(reason, f"./baton unpause {reason}")
