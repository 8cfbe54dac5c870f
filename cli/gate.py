"""What a closed gate means to a person: the reason in words, and what opens it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from cli.queue import SHORT
from cli.terminal import moment, paint, printable
from durable.records import closed_for
from durable.remedies import remedy as remedy

if TYPE_CHECKING:
    from durable.records import GateEntry


def sentence(entry: GateEntry) -> str:
    """Return two lines about an entry: what it stops, since when, until when and why; and the remedy."""
    shut, more = _told(entry)
    return f"{paint(shut, 'red')}{more}\n    → {remedy(entry)}"


def plain(entry: GateEntry) -> list[str]:
    """Return the same two without colours and indents, for who prints them among others."""
    return ["".join(_told(entry)), f"→ {remedy(entry)}"]


def _told(entry: GateEntry) -> tuple[str, str]:
    """What is closed, and all else but the remedy."""
    since = f"since {moment(entry.since_ms)}"
    until = f", until {moment(entry.until_ms)}" if entry.until_ms else ""
    in_vain = f"; tried {entry.tries} times in vain" if entry.tries else ""
    why = f": {printable(entry.why)}" if entry.why else ""
    shut = printable(f"gate closed for {closed_for(entry.scope)}: {entry.reason}")
    return shut, f" ({since}{until}{in_vain}{_trying(entry)}){why}"


def keeps_back(entry: GateEntry, credential: str) -> bool:
    """Return whether a Claude task that pays by this credential ("": the usual one) waits for the entry."""
    return entry.scope in ("all", "claude", f"claude:{credential or 'default'}")


def waiting(entry: GateEntry) -> str:
    """Return why a task that has just come in waits, until when, and the remedy, in one line."""
    until = f" until {moment(entry.until_ms)}" if entry.until_ms else ""
    why = f": {printable(entry.why).rstrip('.')}" if entry.why else ""
    shut = printable(f"the gate is closed for {closed_for(entry.scope)} ({entry.reason})")
    return f"It waits: {shut}{until}{_trying(entry)}{why} → {printable(remedy(entry))}"


def _trying(entry: GateEntry) -> str:
    if entry.probe:
        return f"; task {entry.probe[:SHORT]} tries whether it is over"
    over = entry.until_ms is not None and entry.until_ms < time.time() * 1000
    return "; the next task tries whether it is over" if over else ""


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
        "tries": entry.tries,
        "remedy": remedy(entry),
    }
