"""The verbs that move a task or the gate: retry, pause, unpause."""

from __future__ import annotations

import argparse

from cli import queue
from cli.errors import CliError
from cli.terminal import print_json


def retry(args: argparse.Namespace) -> int:
    """Put a held, failed or cancelled task back into its queue."""
    store = queue.store()
    record = queue.one(store, args.id)
    found = store.requeue(record.id, resume=args.resume)
    if found.value not in {"held", "failed", "cancelled"}:
        raise CliError(
            f"Task {record.id} is {found.value}; only a held, failed or cancelled one is retried.",
            "./baton add puts a new one in." if found.final else "",
        )
    return _done(args, record.id, found.value, "is back in the queue")


def _done(args: argparse.Namespace, task_id: str, found: str, said: str) -> int:
    if args.json:
        print_json({"id": task_id, "was": found})
    else:
        print(f"{task_id[: queue.SHORT]} (was {found}) {said}.")
    return 0


def pause(args: argparse.Namespace) -> int:
    """Close the gate to all tasks until a person opens it."""
    queue.store().close_gate("all", "pause", by=queue.who(), why=" ".join(args.reason))
    print("Paused: no more tasks are started; running ones go on. ./baton unpause ends it.")
    return 0


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
    print(f"The gate is still closed for: {', '.join(left)}." if left else "The gate is open.")
    return 0
