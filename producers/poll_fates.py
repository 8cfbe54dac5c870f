"""What a poller's journal says of items and of failures. Pure."""

from __future__ import annotations

from durable.records import Entry
from producers.sources import Item

_SHOWN = 100  # characters of an id
_REASON = 300


def run_entry(journal: str, item: Item, place: int) -> Entry:
    """Of an item whose task is at `place` in the batch (from 1)."""
    return Entry(journal=journal, what="run", about=item.id[:_SHOWN], place=place)


def put_off_entry(journal: str, item: Item, reason: str) -> Entry:
    """Of an item whose prompt cannot be made: it stays new."""
    why = f"its prompt cannot be made: {reason[:_REASON]}"
    return Entry(journal=journal, what="put off", about=item.id[:_SHOWN], why=why)


def first_entries(journal: str, left_out: int, first: object) -> list[Entry]:
    """Of the items of a first poll that become no task."""
    if left_out <= 0:
        return []
    return [Entry(journal=journal, what="skipped", count=left_out, why=f"first is {first}")]


def failed_entry(journal: str, error: Exception) -> Entry:
    """Of the first failed poll of a row."""
    return Entry(journal=journal, what="failed", why=str(error))


def back_entry(journal: str, failures: int) -> Entry:
    """Of the first poll that worked again."""
    why = f"it answers again, after {failures} failed polls"
    return Entry(journal=journal, what="back", why=why)
