"""What a person has mended while the gate was closed for it: another credential, a claude that is there by now."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from consumers import claude

if TYPE_CHECKING:
    from durable.records import GateEntry
    from durable.store import LeaseStore
    from settings import Settings

MISSING = "claude missing"
#: A usage limit is an account's, which no new key mends; it ends by itself.
_CREDENTIALS = ("login", "billing")


def about(settings: Settings) -> str:
    """This host, and 16 hex digits over what its attempts pay with: two that differ pay otherwise."""
    entries = (settings.watchers, settings.pollers, settings.schedules)
    options = [entry.options for group in entries for entry in group.values()]
    named = set(settings.claude.env).union(*(chosen.get("env") or () for chosen in options))
    passed_on = {name: settings.environ.get(name) for name in sorted(named)}
    text = json.dumps([settings.claude_command, passed_on])
    return f"{settings.host} {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def reopen_gate(settings: Settings, store: LeaseStore) -> list[str]:
    """Open what was closed on this host for something that is otherwise now; the reasons. Raises redis.RedisError."""
    own = about(settings)
    over = [entry for entry in store.gate() if _is_over(entry, own, settings)]
    for entry in over:
        store.open_gate(entry.reason, entry.scope)
    return [entry.reason for entry in over]


def _is_over(entry: GateEntry, own: str, settings: Settings) -> bool:
    host, _, before = entry.about.rpartition(" ")
    here, _, now = own.rpartition(" ")
    if host != here:  # what another machine pays with is not known here
        return False
    if entry.reason == MISSING:
        return isinstance(claude.locate(settings), claude.Found)
    return entry.reason in _CREDENTIALS and before != now
