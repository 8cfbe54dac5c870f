"""The verbs that look at tasks: list and show."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import attempts, blocks, costs, queue
from cli.errors import CliError
from cli.terminal import ago, moment, paint, print_json, printable, state, table, usd

if TYPE_CHECKING:
    from durable.records import Record, State
    from durable.store import LeaseStore

# What happens, what may happen, what has happened.
_ORDER = ("running", "held", "queued", "scheduled")
_ENDED = ("succeeded", "failed", "cancelled")
_PAGE = 200
_ABOUT = 50  # characters of a prompt in front of what else is to be said
_SHOWN = (
    *("name", "kind", "source", "by", "key", "queue", "lock", "priority", "attempt", "counted"),
    *("outcome", "reason", "session"),
)
_TIMES = ("created", "due", "started", "finished")
KEEP = "\n\t"  # of a text that a person reads; everything else that moves the cursor is escaped


def list_tasks(args: argparse.Namespace) -> int:
    """Print tasks: those that run, then those that wait, then those that ended, newest first."""
    store = queue.store()
    found = chosen(store, args.state, args.source, args.limit)
    if args.json:
        print_json([queue.facts(record) for record in found])
    elif found:
        print(rows(found, store.now_ms()))
    else:
        print('No task like that. ./baton add "…" puts one in.')
    return 0


def chosen(
    store: LeaseStore, state_name: str | None, source: str | None, limit: int
) -> list[Record]:
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
    store: LeaseStore, limit: int, source: str | None = None, states: Sequence[str] = _ENDED
) -> list[Record]:
    """Return the tasks that ended last, the newest first."""
    from durable.records import State

    found = [record for name in states for record in _some(store, State(name), source, limit)]
    found.sort(key=lambda record: record.finished_ms, reverse=True)
    return found[:limit]


def _some(store: LeaseStore, which: State, source: str | None, limit: int) -> list[Record]:
    found: list[Record] = []
    for record in _pages(store, which):
        if len(found) >= limit:
            break
        if source is None or record.source == source:
            found.append(record)
    return found


def _pages(store: LeaseStore, which: State) -> Iterator[Record]:
    offset = 0
    while page := store.page(which, _PAGE, offset):
        yield from page
        offset += _PAGE


def rows(records: list[Record], now_ms: int) -> str:
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
    from durable.codec import loads
    from durable.errors import CodecError

    if record.kind != "claude":
        return ""
    try:
        args = getattr(loads(record.body), "args", None)
    except CodecError:  # whatever a foreign hand wrote is shown by its name
        return ""
    return args[0] if args and isinstance(args[0], str) else ""


def show(args: argparse.Namespace) -> int:
    """Print all that is known of one task, its result, and where its attempts are."""
    store = queue.store()
    record = queue.one(store, args.id)
    result = outcome_of(store, record)
    folders = attempts.of(store_var(), record.id)
    if args.attempt is not None:
        folders = [attempts.chosen(folders, record, args.attempt)]
    found = [attempts.read(folder, record) for folder in folders]
    where, spent = workspace(store_var(), record.id), costs.of_attempts(folders)
    if args.json:
        more = {"prompt": prompt(record), "result": result, "costs": spent, "workspace": where}
        print_json(queue.facts(record) | more | {"attempts": list(map(blocks.facts, found))})
        return 0
    print(f"{record.id}  {state(record.state.value)}")
    below = [("waits for", waits_for(store, record)), ("workspace", where)]
    below.append(("attempts", _away(record, folders)))
    for label, text in (pair for pair in (*_facts(record), *below) if pair[1]):
        print(f"  {label:<10} {printable(text)}")
    for attempt, cost in zip(found, spent, strict=True):
        print("\n".join(blocks.block(attempt, costs.of_attempt(cost))))
    for label, text in (("prompt", prompt(record)), ("result", _text(result))):
        if text:
            print(f"\n{paint(label, 'dim')}\n{printable(text, keep=KEEP)}")
    for line in blocks.by_hand_lines(found[-1]) if found else ():
        print(line)
    return 0


def _away(record: Record, folders: list[Path]) -> str:
    """Where the folders are that are not here."""
    if folders or not record.attempt or record.kind != "claude":
        return ""
    host = attempts.elsewhere(store_var(), record)
    if host:
        return f"on another machine, {host}"
    return (
        "their folders were removed (attempts_max_size, keep_finished)"
        if record.state.final
        else ""
    )


def waits_for(store: LeaseStore, record: Record) -> str:
    """Return what a queued task waits for that is not simply its turn: a newer Baton, the holder of its lock."""
    from durable import versions

    if record.state.value == "queued" and record.version > versions.MESSAGE:
        return f"another consumer: it was {versions.refusal(record.version)}"
    if record.state.value != "queued" or not record.lock:
        return ""
    holder = store.lock_holder(record.lock)
    return f"task {holder}, which holds the lock" if holder else ""


def outcome_of(store: LeaseStore, record: Record) -> Any:
    """Return the stored result, None when there is none; a failure is what its error says."""
    from durable.codec import loads

    raw = store.result(record.id)
    if raw is None:
        return None
    found = loads(raw)
    return getattr(found, "metadata", found)


def _facts(record: Record) -> list[tuple[str, str]]:
    found = [(name, str(getattr(record, name) or "")) for name in _SHOWN]
    found.append(("owner", _owner(record)))
    times = ((name, getattr(record, f"{name}_ms")) for name in _TIMES)
    found += [(name, moment(ms)) for name, ms in times if ms]
    found += costs.of_record(record)
    return [(name, text) for name, text in found if text]


def _owner(record: Record) -> str:
    """Which consumer has or had it, and where that is, if not here."""
    host, name = attempts.elsewhere(store_var(), record), record.owner.rpartition(":")[2]
    return f"{name} on {host}" if host else name


def _text(result: Any) -> str:
    if isinstance(result, dict):
        return str(result.get("text") or result.get("error") or "")
    return "" if result is None else str(result)


def store_var() -> Path:
    """Return the state folder of this instance."""
    import tasks

    return tasks.config.var


def workspace(var: Path, task_id: str) -> str:
    """Return the folder of its own that a task works or worked in; "" when there is none on this machine."""
    from consumers.workspace_notes import find

    found = find(var, task_id)
    return str(found.path) if found and found.path.exists() else ""
