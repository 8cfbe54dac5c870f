"""`./baton list`, and how a task is said in one line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from cli import queue
from cli.errors import CliError
from cli.terminal import ago, columns, print_json, table, usd

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
    found = chosen(store, args.state, args.source, args.limit + 1)
    more, found = len(found) > args.limit, found[: args.limit]
    if args.json:
        print_json([queue.facts(record) for record in found])
    elif found:
        print(rows(found, store.now_ms()), flush=True)
        if more:
            print(_rest(store, args), file=sys.stderr)  # no row, so not among them in a pipe
    elif args.state or args.source:
        print("No task like that.")
    else:
        print('There is no task yet. ./baton add "…" puts one in.')
    return 0


def _rest(store: Views, args: argparse.Namespace) -> str:
    """How many tasks are not shown, as far as that is known, and how they are."""
    if args.source:
        return f"… and more: ./baton list --source {args.source} --limit {2 * args.limit}"
    counted = store.counts().items()
    total = sum(count for state, count in counted if args.state in (None, state.value))
    chosen_by = f" --state {args.state}" if args.state else ""
    return f"… {total - args.limit} more: ./baton list{chosen_by} --limit {total}"


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
        fits = len(about) <= _ABOUT or not sys.stdout.isatty()
        return f"{about if fits else about[: _ABOUT - 1] + '…'} ({record.reason})"
    return record.reason


def subject(record: Record) -> str:
    """Return what a task is about: the name of its file, the beginning of its prompt, or its own name.

    So much as may fit a line of the terminal; in a pipe as good as all.
    """
    words, most = " ".join(prompt(record).split()), columns()
    if file := _file(record):
        words = f"{file}: {words}"
    return (words if len(words) <= most else f"{words[: most - 1]}…") or record.name or "?"


def _file(record: Record) -> str:
    """The name of the file that a Claude task was made of; "" for any other."""
    if not record.source.startswith("watcher:"):
        return ""
    context = (_body(record).get("kwargs") or {}).get("context")
    name = context.get("name") if isinstance(context, dict) else None
    return name if isinstance(name, str) else ""


def prompt(record: Record) -> str:
    """Return the prompt of a Claude task; "" when there is none or its message is unreadable."""
    args = _body(record).get("args")
    return args[0] if args and isinstance(args[0], str) else ""


def _body(record: Record) -> dict[str, Any]:
    """The message of a Claude task; empty when it is of another kind or unreadable."""
    from durable.codec import peek
    from durable.errors import CodecError

    if record.kind != "claude":
        return {}
    try:
        body = peek(record.body)
    except CodecError:  # whatever a foreign hand wrote is shown by its name
        return {}
    return body if isinstance(body, dict) else {}


def waits_for(store: Views, record: Record) -> str:
    """Return what a queued task waits for that is not simply its turn: a newer Baton, the holder of its lock."""
    from durable import versions

    if record.state.value == "queued" and record.version > versions.MESSAGE:
        return f"another consumer: it was {versions.refusal(record.version)}"
    if record.state.value != "queued" or not record.lock:
        return ""
    holder = store.lock_holder(record.lock)
    return f"task {holder}, which holds the lock" if holder else ""
