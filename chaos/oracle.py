"""From what was seen to what was broken: one row for each promise. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from chaos import obeyed, overlap
from chaos.acks import Ack
from chaos.body import Line
from chaos.facts import FINAL, SUCCEEDED, Fact, Tasks
from chaos.obeyed import Claimed, Deed, Pause


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """All that one run left behind. `events` are counts by event and task id; `sizes` by structure.

    Plain Huey leaves no `tasks`, `events`, `cursors` or `counters`, and nobody speaks to it.
    """

    acks: Sequence[Ack]
    lines: Sequence[Line]
    sizes: Mapping[str, int]
    tasks: Mapping[str, Fact] | None = None
    events: Mapping[str, Counter[str]] = {}
    claims: Sequence[Claimed] = ()
    cursors: Mapping[str, int] = {}
    counters: Mapping[str, tuple[int, int]] = {}  # name → (what it says, what it counts)
    deeds: Sequence[Deed] = ()
    pauses: Sequence[Pause] = ()


class Row(msgspec.Struct, frozen=True):
    """One promise: how often it was broken (None: not asked), with examples."""

    name: str
    broken: int | None
    examples: Sequence[str] = ()


#: A run is called `attempt.token` where there are leases.
_DOT = "."
LOST, TWICE, OVERLAP = "lost", "settled twice", "two live at once"
LOCKS = "two live at once per lock"
KEYS, CURSORS, STATES = "in twice, or not in", "cursor out of step", "other end than was said"
CANCEL, HOLD, PAUSE = "ran after its cancel", "ran while held", "claimed in a pause"
SIZES, COUNTERS = "left in a structure", "counters wrong"
_OF_RECORDS = (LOCKS, STATES, CANCEL, HOLD, PAUSE, KEYS, CURSORS, COUNTERS)


def judge(evidence: Evidence) -> list[Row]:
    """Every promise, in the order in which they are printed."""
    ended = Counter(line.task for line in evidence.lines if line.word == "end")
    return [
        _row(LOST, _lost(evidence, ended)),
        _row(TWICE, _twice(evidence, ended)),
        _row(OVERLAP, overlap.of_tasks(evidence.lines)),
        *_of_records(evidence),
        _row(SIZES, (f"{name}: {size}" for name, size in evidence.sizes.items() if size)),
    ]


def facts(evidence: Evidence) -> dict[str, int]:
    """Figures that are no verdict: how much was done, and what ran again."""
    ended = Counter(line.task for line in evidence.lines if line.word == "end")
    promises = [promise for ack in evidence.acks for promise in ack.tasks]
    return {
        "tasks acknowledged": len({promise.id for promise in promises if promise.id}),
        "keys acknowledged": len({promise.key for promise in promises if promise.key}),
        "bodies begun": sum(line.word == "begin" for line in evidence.lines),
        "bodies ended well": ended.total(),
        "ended well, and ran again": sum(count > 1 for count in ended.values()),
    }


def _row(name: str, examples: Iterable[str]) -> Row:
    found = sorted(examples)
    return Row(name, len(found), found[:5])


def _lost(evidence: Evidence, ended: Counter[str]) -> Iterable[str]:
    """Promised, and nowhere at an end; or settled as a success by a run whose body never ended."""
    if evidence.tasks is None:
        promised = {promise.id for ack in evidence.acks for promise in ack.tasks}
        return (task for task in promised if not ended[task])
    known = evidence.tasks
    wins = {(i, str(fact.settled_token)) for i, fact in known.items() if fact.state == SUCCEEDED}
    runs = {(e.task, e.run.rpartition(_DOT)[2]) for e in evidence.lines if e.word == "end"}
    unended = (f"{task}: lease {token} succeeded, unended" for task, token in wins - runs)
    return [*Tasks(known, evidence.acks).unkept(), *unended]


def _twice(evidence: Evidence, ended: Counter[str]) -> Iterable[str]:
    if evidence.tasks is None:  # nothing else settles a task of plain Huey's
        return (task for task, count in ended.items() if count > 1)
    settles: Counter[str] = Counter()
    for state in FINAL:
        settles.update(evidence.events.get(state, Counter()))
    return (f"{task}: {count} times" for task, count in settles.items() if count > 1)


def _of_records(evidence: Evidence) -> list[Row]:
    """What only a queue with records can be asked."""
    if evidence.tasks is None:
        return [Row(name, None) for name in _OF_RECORDS]
    tasks, deeds, lines = Tasks(evidence.tasks, evidence.acks), evidence.deeds, evidence.lines
    found = (
        overlap.of_locks(lines, tasks.locks()),
        obeyed.unexpected_ends(deeds, tasks.facts),
        obeyed.after_cancel(deeds, tasks.facts, lines),
        obeyed.while_held(deeds, lines),
        obeyed.in_a_pause(evidence.pauses, evidence.claims),
        [*tasks.miscounted_keys(), *tasks.too_early()],
        _cursors(evidence, tasks),
        _counters(evidence, tasks),
    )
    return [_row(name, examples) for name, examples in zip(_OF_RECORDS, found, strict=True)]


def _cursors(evidence: Evidence, tasks: Tasks) -> Iterable[str]:
    """No cursor stands before a place that was acknowledged, or after a step whose tasks are not there."""
    reached: Counter[str] = Counter()
    for ack in evidence.acks:
        if ack.cursor:
            reached[ack.cursor] = max(reached[ack.cursor], ack.place)
    for name in reached.keys() | evidence.cursors.keys():
        stands = evidence.cursors.get(name, 0)
        if stands < reached[name]:
            yield f"{name} stands at {stands}, {reached[name]} was acknowledged"
        for place in range(stands):
            if not tasks.id_of(f"{name}/{place}/0"):
                yield f"{name} went past {place}, whose tasks are not there"


def _counters(evidence: Evidence, tasks: Tasks) -> Iterable[str]:
    for name, (says, counts) in evidence.counters.items():
        if says != counts:
            yield f"{name} says {says}, there are {counts}"
    yield from tasks.miscounted_attempts(obeyed.sent_back(evidence.deeds))
