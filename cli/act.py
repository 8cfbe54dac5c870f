"""The verbs that move tasks or the gate: retry, hold, release, pause, unpause."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from cli import gate, queue
from cli.errors import CliError
from cli.several import Done, each
from cli.terminal import print_json

if TYPE_CHECKING:
    from durable.records import Record, State
    from durable.store import LeaseStore

_BACK = ("held", "failed", "cancelled")


def retry(args: argparse.Namespace) -> int:
    """Put held, failed or cancelled tasks back into their queues; of a watcher's, the file comes back first."""
    store = queue.store()
    return each(args, lambda word: _retry(store, queue.one(store, word), resume=args.resume))


def _retry(store: LeaseStore, record: Record, *, resume: bool) -> Done:
    if record.source.startswith("watcher:") and record.state.final:
        from cli import returning

        return _done(record, *returning.bring_back(store, record, resume=resume))
    found = store.requeue(record.id, resume=resume)
    if found.value not in _BACK:
        raise CliError(
            f"Task {record.id} is {found.value}; only a held, failed or cancelled one is retried.",
            "./baton add puts a new one in." if found.final else "",
        )
    return _done(record, found, "queued", f"(was {found.value}) is back in the queue.")


def hold(args: argparse.Namespace) -> int:
    """Put waiting tasks aside until a person sends them on."""
    store, why = queue.store(), args.reason or f"held by {queue.who()}"
    return each(args, lambda word: _hold(store, queue.one(store, word), why))


def _hold(store: LeaseStore, record: Record, why: str) -> Done:
    found, short = store.hold(record.id, why), record.id[: queue.SHORT]
    if found.value == "held":
        return _done(record, found, "held", "is held already.")
    if found.value not in ("queued", "scheduled"):
        remedy = f"./baton cancel {short} stops it; ./baton pause lets no other one start."
        raise CliError(
            f"Task {record.id} is {found.value}; only one that waits can be held.",
            "" if found.final else remedy,
        )
    said = f"(was {found.value}) is held: {why}. ./baton release {short} sends it on."
    return _done(record, found, "held", said)


def release(args: argparse.Namespace) -> int:
    """Send held tasks on, where they were."""
    store = queue.store()
    return each(args, lambda word: _release(store, queue.one(store, word)))


def _release(store: LeaseStore, record: Record) -> Done:
    if record.state.value != "held":
        again = record.state.value in _BACK
        remedy = f"./baton retry {record.id[: queue.SHORT]} sends it back." if again else ""
        raise CliError(f"Task {record.id} is {record.state.value}, not held.", remedy)
    return _retry(store, record, resume=False)


def _done(record: Record, found: State, now: str, said: str) -> Done:
    facts: dict[str, Any] = {"id": record.id, "was": found.value, "state": now}
    return Done(facts, f"{record.id[: queue.SHORT]} {said}")


def pause(args: argparse.Namespace) -> int:
    """Close the gate to all tasks until a person opens it."""
    store = queue.store()
    store.close_gate("all", "pause", by=queue.who(), why=" ".join(args.reason))
    said = "Paused: no more tasks are started; running ones go on. ./baton unpause ends it."
    return _say(args, store, said)


def unpause(args: argparse.Namespace) -> int:
    """Open the gate, for one reason or for all."""
    reason = " ".join(args.reason)
    store = queue.store()
    reasons = sorted({entry.reason for entry in store.gate()})
    if reason and reason not in reasons:
        there_is = f"It is closed for: {', '.join(reasons)}." if reasons else "It is open."
        raise CliError(f"The gate is not closed for '{reason}'.", there_is)
    store.open_gate(reason)
    left = sorted({entry.reason for entry in store.gate()})
    said = f"The gate is still closed for: {', '.join(left)}." if left else "The gate is open."
    return _say(args, store, said)


def _say(args: argparse.Namespace, store: LeaseStore, said: str) -> int:
    if args.json:
        print_json({"gate": [gate.facts(entry) for entry in store.gate()]})
    else:
        print(said)
    return 0
