"""How tasks, claims and chords travel to the scripts and back: flat lists, as Redis has no other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from durable.records import Chord, Claim, Lease, Submission, Submitted

#: A task that took its owner with it this often (killed, not heard of) is held.
STARTS_CAP = 20


def claim_args(claim: Claim) -> list[object]:
    """What claim.lua takes."""
    return [claim.owner, claim.nonce, claim.lease_ms, STARTS_CAP, *claim.queues]


def claimed(answer: list[Any]) -> Lease | tuple[int, bool]:
    """What claim.lua answered: a lease, or (ms until something is due, whether the gate is closed)."""
    if answer[0] == b"none":
        return int(answer[1]), answer[2] == 1
    return Lease(
        id=answer[1].decode(),
        token=int(answer[2]),
        attempt=int(answer[3]),
        counted=int(answer[4]),
        body=answer[5],
        kind=answer[6].decode(),
        source=answer[7].decode(),
        name=answer[8].decode(),
        queue=answer[9].decode(),
        settled_token=int(answer[10]),
        revoked=answer[11] != 0,
    )


def submission_args(task: Submission) -> Iterable[object]:
    """The nine values of a task, as prelude.lua's insert takes them."""
    due = task.due_ms if task.due_ms > 0 else 0
    return (
        *(task.id, task.key, task.kind, task.queue, task.priority),
        *(due, task.source, task.name, task.body),
    )


def submitted(answer: list[Any]) -> list[Submitted]:
    """What submit.lua and chord.lua answered."""
    return [Submitted(answer[i].decode(), answer[i + 1] == 1) for i in range(1, len(answer), 2)]


def chord_args(chord: Chord) -> Iterable[object]:
    """What chord.lua takes of one chord."""
    members = [value for m in chord.members for value in (m.id, m.place, int(m.last))]
    return (
        *(chord.id, chord.size, chord.skipped, chord.head, chord.tail),
        *(len(chord.members), *members),
        *submission_args(chord.callback),
    )
