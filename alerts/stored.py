"""Incidents and messages as they stand in Redis. One that cannot be read is put aside: it stops no other. Pure."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import msgspec

from alerts.messages import Incident, Message
from durable.alerting import Board, Change

T = TypeVar("T", Incident, Message)

#: So much of what cannot be read is shown, bytes.
_SHOWN = 500


class Stored(NamedTuple):
    """What stands there; of what cannot be read, the change that removes it and what it was, in words."""

    incidents: dict[str, Incident]
    outbox: dict[int, Message]
    removals: list[Change]
    unreadable: list[str]


def read(board: Board) -> Stored:
    """Everything that can be read, messages in their order."""
    found = Stored({}, {}, [], [])
    for field, text in board.incidents.items():
        incident = _one(found, "incidents", field, text, Incident)
        if incident is not None:
            found.incidents[field] = incident
    messages = (_one(found, "outbox", *item, Message) for item in board.outbox.items())
    for message in sorted(filter(None, messages), key=lambda m: m.seq):
        found.outbox[message.seq] = message
    return found


def _one(found: Stored, where: str, field: str, text: bytes, kind: type[T]) -> T | None:
    """Nothing is written back under another name than it was read from, so the two have to agree."""
    try:
        one = msgspec.json.decode(text, type=kind)
        name = one.key if isinstance(one, Incident) else str(one.seq)
        if name != field:
            raise ValueError(f"it says that it is {name}")
    except ValueError as error:  # msgspec's are such
        found.removals.append(Change(where, field))
        shown = text[:_SHOWN].decode("utf-8", "replace")
        found.unreadable.append(f"{where} {field} cannot be read ({error}): {shown}")
        return None
    return one
