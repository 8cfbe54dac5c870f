"""`./baton cancel ID ...`: end tasks, wherever they stand, and say what became of each."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from cli import queue
from cli.errors import CliError
from cli.several import Done, each
from cli.terminal import moment

if TYPE_CHECKING:
    from durable.records import Record, State
    from durable.store import LeaseStore

# A run that is told to stop is over within a second or two; after this, s, we say what is still to come.
_WATCH_S = 3.0
_LOOK_EVERY_S = 0.05
# Redis may be starting again: so long a cancel is tried, s.
_PATIENCE_S = 10.0


class Sent(NamedTuple):
    """The record as it was before, the state that the cancel found, and when it was sent, by time.monotonic()."""

    record: Record
    found: State
    begun: float


class Seen(NamedTuple):
    """A task that ran when it was cancelled, as it was after `after_s` seconds."""

    record: Record
    heard: bool
    """Its consumer has beaten since, which it does at once when a person cancels."""
    after_s: float
    stopped: bool = False
    """We told its runner ourselves, since its consumer does not answer."""


def cancel(args: argparse.Namespace) -> int:
    """End waiting tasks at once; tell the owners of running ones to stop them, and watch each a moment."""
    store = queue.store()
    words = list(dict.fromkeys(args.ids))
    sent = {word: _send(store, word) for word in words}  # all of them, before any is watched
    return each(args, lambda word: _done(store, sent[word]()))


def _send(store: LeaseStore, word: str) -> Callable[[], Sent]:
    """Cancel one; what was found, or the error that says why nothing was done, is told when it is asked for."""
    from durable.errors import NoSuchTaskError

    try:
        sent = _insist(store, word)
    except (CliError, NoSuchTaskError) as error:
        refusal = error

        def refuse() -> Sent:
            raise refusal

        return refuse
    return lambda: sent


def _done(store: LeaseStore, sent: Sent) -> Done:
    record, found = sent.record, sent.found
    if found.final:
        raise CliError(*_ended(record.id, found))
    if found.value == "running":
        seen = _watch(store, record, sent.begun)
        if not seen.heard:
            seen = seen._replace(stopped=_stop_here(seen.record))
        said, now = told(seen), seen.record.state.value
    else:
        said, now = waited(record, found), "cancelled"
    facts = {"id": record.id, "was": found.value, "state": now, "said": said}
    return Done(facts, f"{record.id[: queue.SHORT]} {said}")


def waited(record: Record, found: State) -> str:
    """Return what a cancel of a task that waited comes to."""
    when = f" for {moment(record.due_ms)}" if found.value == "scheduled" and record.due_ms else ""
    never = "does not start again" if record.attempt else "never starts"
    return f"was {found.value}{when} and is cancelled; it {never}."


def told(seen: Seen) -> str:
    """Return what a cancel of a running task has come to so far."""
    record, owner = seen.record, seen.record.owner.rpartition(":")[2] or "its consumer"
    if record.state.value == "cancelled":
        return f"was running and is cancelled; nothing of it was left after {seen.after_s:.1f} s."
    if record.state.final:
        return f"came to its end at this moment: {record.state.value}."
    if record.kind != "claude":
        return (
            f"is a Python task, which nothing stops from outside: {owner} runs it to its end, once."
        )
    if seen.heard:
        short = record.id[: queue.SHORT]
        return f"is being stopped by {owner}; Claude gets 10 s to end (./baton logs {short} -f)."
    if seen.stopped:
        return f"is stopped; {owner} does not answer, so within a minute another one writes the task off."
    return (
        f"will be cancelled, but {owner} does not answer. The run ends by itself 15 s after the last word of a "
        "consumer, and within a minute another consumer writes the task off (./baton status: does one run?)."
    )


def _ended(task_id: str, found: State) -> tuple[str, str]:
    problem = f"Task {task_id} has ended: {found.value}. There is nothing to cancel."
    return (
        problem,
        f"./baton show {task_id[: queue.SHORT]} prints it; ./baton list --state running what runs.",
    )


def _insist(store: LeaseStore, prefix: str) -> Sent:
    """Cancel, and wait for a Redis that starts again. Raises RedisError after 10 s without an answer."""
    import redis

    give_up, said = time.monotonic() + _PATIENCE_S, False
    while True:
        try:
            record = queue.one(store, prefix)
            begun = time.monotonic()
            return Sent(record, store.cancel(record.id), begun)
        except redis.RedisError as error:
            if time.monotonic() > give_up:
                raise
            if not said:
                print(
                    f"Redis does not answer ({error}); trying for {_PATIENCE_S:.0f} s.",
                    file=sys.stderr,
                )
            said = True
            time.sleep(10 * _LOOK_EVERY_S)


def _watch(store: LeaseStore, record: Record, begun: float) -> Seen:
    """Look until the run is over, but not for long."""
    while True:
        seen = _look(store, record, begun)
        if seen.record.state.value != "running" or seen.after_s > _WATCH_S:
            return seen
        record = seen.record
        time.sleep(_LOOK_EVERY_S)


def _look(store: LeaseStore, before: Record, begun: float) -> Seen:
    """What became of it; what was known before while Redis is away, for the cancel is written."""
    import redis

    from consumers.times import LEASE_MS

    try:
        record = store.record(before.id) or before
        left_ms = store.lease_left_ms(before.id)
    except redis.RedisError:
        return Seen(before, heard=True, after_s=time.monotonic() - begun)
    after_s = time.monotonic() - begun
    return Seen(record, left_ms >= LEASE_MS - after_s * 1000, after_s)


def _stop_here(record: Record) -> bool:
    """Tell the runner, as its consumer should: only where it runs on this machine."""
    from cli import attempts
    from consumers import folder, handle

    var = queue.settings().var
    where = folder.living(folder.of(var, record.id, record.attempt))
    if where is None or attempts.elsewhere(var, record):
        return False
    run = handle.of(where)
    return run is not None and run.stop(record.token, "cancelled")
