"""`./baton list`, and how a task is said in one line."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from cli import queue
from cli.errors import CliError
from cli.terminal import ago, print_json, table, usd

if TYPE_CHECKING:
    from durable.records import Record, State
    from durable.views import Views

# What happens, what may happen, what has happened.
_ORDER = ("running", "held", "queued", "scheduled")
_ENDED = ("succeeded", "failed", "cancelled")
_PAGE = 200
_ABOUT = 50  # characters of a prompt in front of what else is to be said


def list_tasks(args: argparse.Namespace) -> int:
    """Print tasks: those that run, then those that wait, then those that ended, newest first."""
    store = queue.views()
    found = chosen(store, args.state, args.source, args.limit)
    if args.json:
        print_json([queue.facts(record) for record in found])
    elif found:
        print(rows(found, store.now_ms()))
    elif args.state or args.source:
        print("No task like that.")
    else:
        print('There is no task yet. ./baton add "…" puts one in.')
    return 0


def chosen(store: Views, state_name: str | None, source: str | None, limit: int) -> list[Record]:
    """Return at most `limit` records in a state and from a source; None is any."""
    from durable.records import State

    names = (*_ORDER, *_ENDED)
    if state_name and state_name not in names:
        raise CliError(f"There is no state '{state_name}'.", f"There is: {', '.join(names)}.")
    found: list[Record] = []
    for name in _ORDER:
        if state_name in (None, name):
            found += _some(store, State(name), source, limit - len(found))
    if len(found) < limit:
        finals = [name for name in _ENDED if state_name in (None, name)]
        found += ended(store, limit - len(found), source, finals)
    return found


def ended(
    store: Views, limit: int, source: str | None = None, states: Sequence[str] = _ENDED
) -> list[Record]:
    """Return the tasks that ended last, the newest first."""
    from durable.records import State

    found = [record for name in states for record in _some(store, State(name), source, limit)]
    found.sort(key=lambda record: record.finished_ms, reverse=True)
    return found[:limit]


def _some(store: Views, which: State, source: str | None, limit: int) -> list[Record]:
    found: list[Record] = []
    for record in _pages(store, which):
        if len(found) >= limit:
            break
        if source is None or record.source == source:
            found.append(record)
    return found


def _pages(store: Views, which: State) -> Iterator[Record]:
    offset = 0
    while page := store.page(which, _PAGE, offset):
        yield from page
        offset += _PAGE


def rows(records: list[Record], now_ms: int, width: int | None = None) -> str:
    """Return a table of records, one a line."""
    return table(
        ("ID", "STATE", "SOURCE", "AGE", "TRY", "COST", "WHAT"),
        (
            (
                record.id[: queue.SHORT],
                record.state.value,
                record.source or "-",
                ago(record.created_ms, now_ms),
                str(record.attempt),
                usd(record.cost_usd),
                _what(record),
            )
            for record in records
        ),
        width,
    )


def _what(record: Record) -> str:
    """What a task is about, or why it is where it is: for one that runs, its reason is that of the attempt before."""
    about = subject(record)
    if record.state.value == "running" or not record.reason:
        return about
    if record.state.value == "succeeded":
        return f"{about if len(about) <= _ABOUT else about[: _ABOUT - 1] + '…'} ({record.reason})"
    return record.reason


def subject(record: Record) -> str:
    """Return what a task is about in a few words: the beginning of its prompt, or its name."""
    words = " ".join(prompt(record).split())
    return words[:120] or record.name or "?"


def prompt(record: Record) -> str:
    """Return the prompt of a Claude task; "" when there is none or its message is unreadable."""
    from durable.codec import peek
    from durable.errors import CodecError

    if record.kind != "claude":
        return ""
    try:
        body = peek(record.body)
    except CodecError:  # whatever a foreign hand wrote is shown by its name
        return ""
    args = body.get("args") if isinstance(body, dict) else None
    return args[0] if args and isinstance(args[0], str) else ""


def waits_for(store: Views, record: Record) -> str:
    """Return what a queued task waits for that is not simply its turn: a newer Baton, the holder of its lock."""
    from durable import versions

    if record.state.value == "queued" and record.version > versions.MESSAGE:
        return f"another consumer: it was {versions.refusal(record.version)}"
    if record.state.value != "queued" or not record.lock:
        return ""
    holder = store.lock_holder(record.lock)
    return f"task {holder}, which holds the lock" if holder else ""
