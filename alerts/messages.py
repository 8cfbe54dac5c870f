"""What is open, what stands for it, and what is sent of it. Pure."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec

#: Of the payload below: it grows when a field changes its meaning or goes, not when one is added.
VERSION = 1
#: So many tasks of a message are named; the others are counted.
NAMED = 100


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """Something that stands while it is found at each look; one incident from first to last."""

    key: str
    kind: str
    subject: str
    text: str
    since_ms: int
    remedy: str = "./baton status"
    over: str = "it is over"
    host: str = ""
    weak: bool = False  # keeps an incident open, but opens none: it may be over


class Named(msgspec.Struct, frozen=True):
    """A task that a message is about."""

    id: str
    outcome: str
    reason: str


class Incident(msgspec.Struct, kw_only=True):
    """What is open. Times are ms of the server's clock."""

    id: str
    key: str
    kind: str
    subject: str
    text: str
    since_ms: int
    due_ms: int  # of its first message
    remedy: str = ""
    over: str = ""
    host: str = ""
    count: int = 1
    tasks: list[str] = []  # those that still are what it is about
    stands: bool = False  # for a condition, whose absence ends it


class Message(msgspec.Struct, kw_only=True):
    """What is to be sent. Until it is `taken` more tasks may be added to it; then it never changes."""

    seq: int
    incident: str
    state: str  # opened, over, test
    kind: str
    subject: str
    text: str
    since_ms: int
    due_ms: int
    remedy: str = ""
    host: str = ""
    count: int = 1
    tasks: list[Named] = []
    dropped: int = 0  # older messages that had to go because nobody took any for long
    taken: bool = False


def payload(message: Message, instance: str, now_ms: int) -> dict[str, Any]:
    """What a webhook or a command gets, as JSON."""
    return {
        "version": VERSION,
        "instance": instance,
        "incident": message.incident,
        "state": message.state,
        "kind": message.kind,
        "subject": message.subject,
        "text": f"{instance}: {sentence(message)}",
        "since": iso(message.since_ms),
        "sent": iso(now_ms),
        "host": message.host,
        "count": message.count,
        "tasks": [msgspec.to_builtins(task) for task in message.tasks],
        "remedy": message.remedy,
        "dropped": message.dropped,
    }


def sentence(message: Message) -> str:
    """A message in words."""
    said = message.text
    if message.tasks and message.state == "opened":
        said = of_tasks(message)
    if message.state == "over":
        said = f"over: {said}"
    if message.dropped:
        said += f" ({message.dropped} older messages were never taken, and are gone)"
    return said


def of_tasks(message: Message) -> str:
    """What tasks have come to, in words; names the first."""
    is_held = message.kind == "held"
    source = message.subject or "nobody in particular"
    why = f"{message.tasks[0].outcome}: {message.tasks[0].reason}".strip(": ")
    if message.count == 1:
        state = "is held" if is_held else "failed"
        return f"a task of {source} {state}: {why} ({message.tasks[0].id[:8]})"
    state = "are held" if is_held else "failed"
    return f"{message.count} tasks of {source} {state}; the first: {why}"


def remedy(message: Message) -> str:
    """What a person may run to see what a message about tasks is about."""
    if message.count == 1:
        return f"./baton show {message.tasks[0].id}"
    return f"./baton list --state {message.kind} --source {message.subject}"


def iso(ms: int) -> str:
    """UTC, to the second."""
    return dt.datetime.fromtimestamp(ms // 1000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
