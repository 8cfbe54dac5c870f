"""What a producer's journal says, as a person reads it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli.queue import SHORT
from cli.terminal import moment

if TYPE_CHECKING:
    from durable.records import Told

_SAID = {
    "run": "went in on time",
    "late": "went in late",
    "merged": "merged",
    "skipped": "skipped",
    "failed": "failed",
    "put off": "is put off",
    "back": "works",
    "again": "went in again",
    "ignored": "is no task",
}


def in_short(told: Told, state: str = "") -> str:
    """Return what became of it in a few words; `state` is that of its task, where it is still known."""
    if told.what in ("run", "late") and told.id:
        now = f", {state}" if state else ""
        late = ", late" if told.what == "late" else ""
        return f"task {told.id[:SHORT]}{now}{late}"
    return sentence(told, state, with_time=False)


def sentence(told: Told, state: str = "", *, with_time: bool = True) -> str:
    """Return one line: when that was, what it was about, what became of it, and why."""
    span = f"{told.about} to {told.until}" if told.until else told.about
    many = ", ".join(filter(None, [f"{told.count} in a row" if told.count > 1 else "", span]))
    parts = [many, _SAID.get(told.what, told.what)]
    if told.what == "skipped" and told.id:
        parts.append(f"task {told.id[:SHORT]} of an earlier one was not done")
    elif told.why:
        parts.append(told.why)
    if told.id and told.what != "skipped":
        parts.append(f"task {told.id[:SHORT]}" + (f" {state}" if state else ""))
    said = ": ".join([f"{parts[0]} {parts[1]}".strip(), ", ".join(parts[2:])]).rstrip(": ")
    return f"{moment(told.at_ms)}  {said}" if with_time else said


def facts(told: Told) -> dict[str, Any]:
    """Return an entry for `--json`."""
    return {name: getattr(told, name) for name in told.__struct_fields__}
