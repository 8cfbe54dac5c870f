"""How tasks, claims and chords travel to the scripts and back: flat lists, as Redis has no other."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from durable.errors import CursorMovedError
from durable.records import Budget, Chord, Claim, Entry, Lease, Nothing, Step, Submission, Submitted

#: A task that took its owner with it this often (killed, not heard of) is held.
STARTS_CAP = 20


def claim_args(claim: Claim) -> list[object]:
    """What claim.lua takes."""
    budget = claim.budget or Budget()
    limits = (budget.daily_usd, budget.each_usd, budget.daily_tokens, budget.offset_ms)
    said = ["" if limit is None else limit for limit in limits]
    about = [claim.owner, claim.nonce, claim.lease_ms, STARTS_CAP, *said, int(claim.woken)]
    return [*about, *claim.queues]


def claimed(answer: list[Any]) -> Lease | Nothing:
    """What claim.lua answered."""
    if answer[0] == b"none":
        return Nothing(int(answer[1]), answer[2].decode(), answer[3].decode())
    return lease(answer)


def lease(answer: list[Any]) -> Lease:
    """A lease, as claim.lua and adopt.lua answer it."""
    kind, _, credential = answer[6].decode().partition(":")
    return Lease(
        id=answer[1].decode(),
        token=int(answer[2]),
        attempt=int(answer[3]),
        counted=int(answer[4]),
        body=answer[5],
        kind=kind,
        source=answer[7].decode(),
        name=answer[8].decode(),
        queue=answer[9].decode(),
        settled_token=int(answer[10]),
        revoked=answer[11] != 0,
        probe=answer[12] == 1,
        credential=credential,
        outcome=answer[13].decode(),
    )


def submission_args(task: Submission) -> Iterable[object]:
    """The values of a task, as insert of scripts/lib/record.lua takes them."""
    due = task.due_ms if task.due_ms > 0 else 0
    kind = f"{task.kind}:{task.credential}" if task.credential else task.kind
    budget = "" if task.budget_usd is None else task.budget_usd
    return (
        *(task.id, task.key, kind, task.queue, task.priority),
        *(due, task.source, task.name, task.body, task.lock, budget, task.version, task.by),
    )


def submitted(answer: list[Any]) -> list[Submitted]:
    """What submit.lua and chord.lua answered."""
    pairs = ((answer[i].decode(), answer[i + 1]) for i in range(1, len(answer), 2))
    return [Submitted(task_id, new == 1, kept_out=new == 2) for task_id, new in pairs]


def step_args(step: Step) -> list[object]:
    """What submit.lua takes."""
    cursor = step.cursor
    args: list[object] = [cursor.name, cursor.expected, cursor.next] if cursor else ["", "", ""]
    args.append(len(step.batch))
    for task in step.batch:
        args.extend(submission_args(task))
    args.append(len(step.entries))
    for entry in step.entries:
        args.extend(entry_args(entry))
    return args


def stepped(step: Step, answer: list[Any]) -> list[Submitted] | CursorMovedError:
    """What submit.lua answered."""
    if step.cursor and answer[0] == b"moved":
        actual = answer[1].decode("utf-8", "surrogateescape")
        return CursorMovedError(step.cursor.name, step.cursor.expected, actual)
    return submitted(answer)


def entry_args(entry: Entry) -> Iterable[object]:
    """The values of a journal's entry, as submit.lua takes them."""
    says = {"what": entry.what, "about": whole(entry.about), "count": entry.count}
    says |= {name: whole(text) for name in ("until", "why") if (text := getattr(entry, name))}
    return entry.journal, json.dumps(says), entry.place, int(entry.alone)


def whole(text: str) -> str:
    """Text with an escape in the place of each half of a character: neither Redis nor its Lua takes one.

    A source's answer can hold it, and the text of an error that names a file.
    """
    return text.encode("utf-8", "backslashreplace").decode()


def chord_args(chord: Chord) -> Iterable[object]:
    """What chord.lua takes of one chord."""
    members = [value for m in chord.members for value in (m.id, m.place, int(m.last))]
    return (
        *(chord.id, chord.size, chord.skipped, chord.head, chord.tail),
        *(len(chord.members), *members),
        *submission_args(chord.callback),
    )
