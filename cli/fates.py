"""What a producer's journal says, as a person reads it. Pure."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any

from cli.queue import SHORT
from cli.terminal import moment

if TYPE_CHECKING:
    from durable.records import Told

#: The reason of what a person did.
BY_HAND = "by hand"
_TICK = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?Z")
_ABOUT = {"schedule": "the tick of ", "poller": "item "}
_SAID = {
    "run": "went in",
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
    """Return what became of a tick in a few words; `state` is that of its task, where it is still known."""
    if told.what in ("run", "late") and told.id:
        how = ", late" if told.what == "late" else f", {told.why}" if told.why else ""
        return f"task {told.id[:SHORT]}{f', {state}' if state else ''}{how}"
    return _what(told, "schedule", state)


def sentence(told: Told, kind: str, state: str = "") -> str:
    """Return one line: when that was, what it was about, what became of it, and why.

    `kind` is schedule, watcher or poller; `state` is that of its task, where it is still known.
    """
    return f"{moment(told.at_ms)}  {_what(told, kind, state)}"


def _what(told: Told, kind: str, state: str) -> str:
    parts = []
    if told.what == "skipped" and told.id:
        parts.append(f"task {told.id[:SHORT]} of an earlier one was not done")
    elif told.why and told.why != BY_HAND:
        parts.append(_TICK.sub(lambda found: _local(found[0]), told.why))
    if told.id and told.what != "skipped":
        parts.append(f"task {told.id[:SHORT]}" + (f" {state}" if state else ""))
    return ": ".join([_begin(told, kind), ", ".join(parts)]).rstrip(": ")


def _begin(told: Told, kind: str) -> str:
    if told.why == BY_HAND:
        return "fired by hand"
    on_time = " on time" if kind == "schedule" and told.what == "run" else ""
    return f"{_about(told, kind)} {_SAID.get(told.what, told.what)}{on_time}".strip()


def _about(told: Told, kind: str) -> str:
    first, last = (
        _local(text) if kind == "schedule" else text for text in (told.about, told.until)
    )
    many = f"{told.count} in a row" if told.count > 1 else ""
    one = f"{_ABOUT.get(kind, '')}{first}" if first else ""
    return ", ".join(filter(None, [many, f"{first} to {last}" if last else one]))


def _local(tick: str) -> str:
    """A tick, which is kept in UTC, in this machine's time, as all else that is printed."""
    try:
        return moment(int(dt.datetime.fromisoformat(tick).timestamp() * 1000))
    except ValueError:
        return tick


def facts(told: Told) -> dict[str, Any]:
    """Return an entry for `--json`."""
    return {name: getattr(told, name) for name in told.__struct_fields__}
