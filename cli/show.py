"""`./baton show ID`: all that is known of one task, its attempts and its result."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import attempts, blocks, costs, queue
from cli.look import prompt, waits_for
from cli.terminal import moment, paint, print_json, printable, state, wrapped

if TYPE_CHECKING:
    from durable.records import Record
    from durable.views import Views

_SHOWN = (
    *("name", "kind", "source", "by", "key", "queue", "lock", "priority", "attempt", "counted"),
    *("outcome", "reason", "session"),
)
_TIMES = ("created", "due", "started", "finished")
KEEP = "\n\t"  # of a text that a person reads; everything else that moves the cursor is escaped


def show(args: argparse.Namespace) -> int:
    """Print all that is known of one task, its result, and where its attempts are."""
    store = queue.views()
    record = queue.one(store, args.id)
    result = outcome_of(store, record)
    folders = attempts.of(queue.settings().var, record.id)
    if args.attempt is not None:
        folders = [attempts.chosen(folders, record, args.attempt)]
    found = [attempts.read(folder, record) for folder in folders]
    where, spent = workspace(queue.settings().var, record.id), costs.of_attempts(folders)
    if args.json:
        more = {"prompt": prompt(record), "result": result, "costs": spent, "workspace": where}
        print_json(queue.facts(record) | more | {"attempts": list(map(blocks.facts, found))})
        return 0
    print(f"{record.id}  {state(record.state.value)}")
    below = [("waits for", waits_for(store, record)), ("workspace", where)]
    below.append(("attempts", _away(record, folders)))
    for label, text in (pair for pair in (*_facts(record), *below) if pair[1]):
        print(wrapped(f"  {label:<10} {printable(text)}", " " * 11))
    for attempt, cost in zip(found, spent, strict=True):
        print("\n".join(blocks.block(attempt, costs.of_attempt(cost))))
    for label, text in (("prompt", prompt(record)), ("result", _text(result))):
        if text:
            print(f"\n{paint(label, 'dim')}\n{wrapped(printable(text, keep=KEEP))}")
    for line in blocks.by_hand_lines(found[-1]) if found else ():
        print(line)
    return 0


def _away(record: Record, folders: list[Path]) -> str:
    """Where the folders are that are not here."""
    if folders or not record.attempt or record.kind != "claude":
        return ""
    host = attempts.elsewhere(queue.settings().var, record)
    if host:
        return f"on another machine, {host}"
    return (
        "their folders were removed (attempts_max_size, keep_finished)"
        if record.state.final
        else ""
    )


def outcome_of(store: Views, record: Record) -> Any:
    """Return the stored result, None when there is none; a failure is what its error says."""
    from durable.codec import peek

    raw = store.result(record.id)
    return None if raw is None else peek(raw)


def _facts(record: Record) -> list[tuple[str, str]]:
    found = [(name, str(getattr(record, name) or "")) for name in _SHOWN]
    found.append(("owner", _owner(record)))
    times = ((name, getattr(record, f"{name}_ms")) for name in _TIMES)
    found += [(name, moment(ms)) for name, ms in times if ms]
    found += costs.of_record(record)
    return [(name, text) for name, text in found if text]


def _owner(record: Record) -> str:
    """Which consumer has or had it, and where that is, if not here."""
    host, name = attempts.elsewhere(queue.settings().var, record), record.owner.rpartition(":")[2]
    return f"{name} on {host}" if host else name


def _text(result: Any) -> str:
    if isinstance(result, dict):
        return str(result.get("text") or result.get("error") or "")
    return "" if result is None else str(result)


def workspace(var: Path, task_id: str) -> str:
    """Return the folder of its own that a task works or worked in; "" when there is none on this machine."""
    from consumers.workspace_notes import find

    found = find(var, task_id)
    return str(found.path) if found and found.path.exists() else ""
