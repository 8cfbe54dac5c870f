"""From what was seen to what was broken: one row for each promise. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from chaos.acks import Ack
from chaos.body import Line


class Fact(msgspec.Struct, frozen=True):
    """What the queue says of one task at the end."""

    state: str
    key: str = ""
    attempt: int = 0
    counted: int = 0
    settled_token: int = 0


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """All that one run left behind. `events` are counts by event and task id; `sizes` by structure.

    Plain Huey leaves no `tasks`, `events`, `cursors` or `counters`.
    """

    acks: Sequence[Ack]
    lines: Sequence[Line]
    sizes: Mapping[str, int]
    tasks: Mapping[str, Fact] | None = None
    events: Mapping[str, Counter[str]] = {}
    cursors: Mapping[str, int] = {}
    counters: Mapping[str, tuple[int, int]] = {}  # name → (what it says, what it counts)


class Row(msgspec.Struct, frozen=True):
    """One promise: how often it was broken (None: not asked), with examples."""

    name: str
    broken: int | None
    examples: Sequence[str] = ()


SUCCEEDED = "succeeded"
#: A run is called `attempt.token` where there are leases.
_DOT = "."
_FINAL = (SUCCEEDED, "failed", "cancelled")
LOST, TWICE, OVERLAP = "lost", "settled twice", "two live at once"
KEYS, CURSORS, STATES = "in twice, or not in", "cursor out of step", "other end than success"
SIZES, COUNTERS = "left in a structure", "counters wrong"


def judge(evidence: Evidence) -> list[Row]:
    """Every promise, in the order in which they are printed."""
    ended = Counter(line.task for line in evidence.lines if line.word == "end")
    return [
        _row(LOST, _lost(evidence, ended)),
        _row(TWICE, _twice(evidence, ended)),
        _row(OVERLAP, overlaps(evidence.lines)),
        *_of_records(evidence),
        _row(SIZES, (f"{name}: {size}" for name, size in evidence.sizes.items() if size)),
    ]


def facts(evidence: Evidence) -> dict[str, int]:
    """Figures that are no verdict: how much was done, and what ran again."""
    ended = Counter(line.task for line in evidence.lines if line.word == "end")
    return {
        "tasks acknowledged": len(_promised_ids(evidence)),
        "keys acknowledged": len(_promised_keys(evidence)),
        "bodies begun": sum(line.word == "begin" for line in evidence.lines),
        "bodies ended well": ended.total(),
        "ended well, and ran again": sum(count > 1 for count in ended.values()),
    }


def overlaps(lines: Iterable[Line]) -> list[str]:
    """Tasks of which two runs showed signs of life in turns: each lives from its first line to its last."""
    spans: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        spans[line.task][line.run].append(line.at_ns)
    found = []
    for task, runs in spans.items():
        ordered = sorted((min(moments), max(moments), run) for run, moments in runs.items())
        latest, holder = 0, ""
        for first, last, run in ordered:
            if first < latest:
                by_ms = (latest - first) / 1e6
                found.append(f"{task}: runs {holder} and {run}, for {by_ms:.1f} ms")
            latest, holder = max((latest, holder), (last, run))
    return found


def _row(name: str, examples: Iterable[str]) -> Row:
    found = sorted(examples)
    return Row(name, len(found), found[:5])


def _promised_ids(evidence: Evidence) -> set[str]:
    return {task.id for ack in evidence.acks for task in ack.tasks}


def _promised_keys(evidence: Evidence) -> set[str]:
    keys = {key for ack in evidence.acks for key in ack.children}
    return keys | {task.key for ack in evidence.acks for task in ack.tasks if task.key}


def _lost(evidence: Evidence, ended: Counter[str]) -> Iterable[str]:
    """Promised, and nowhere at an end; or settled as a success by a run whose body never ended."""
    promised = _promised_ids(evidence)
    if evidence.tasks is None:
        return (task for task in promised if not ended[task])
    known = evidence.tasks
    wins = {(i, str(fact.settled_token)) for i, fact in known.items() if fact.state == SUCCEEDED}
    runs = {(e.task, e.run.rpartition(_DOT)[2]) for e in evidence.lines if e.word == "end"}
    unfinished = {task for task, fact in known.items() if fact.state not in _FINAL}
    gone = (promised - set(known)) | unfinished
    return [*gone, *(f"{task}: lease {token} succeeded, unended" for task, token in wins - runs)]


def _twice(evidence: Evidence, ended: Counter[str]) -> Iterable[str]:
    if evidence.tasks is None:  # nothing else settles a task of plain Huey's
        return (task for task, count in ended.items() if count > 1)
    settles: Counter[str] = Counter()
    for state in _FINAL:
        settles.update(evidence.events.get(state, Counter()))
    return (f"{task}: {count} times" for task, count in settles.items() if count > 1)


def _of_records(evidence: Evidence) -> list[Row]:
    if evidence.tasks is None:
        return [Row(name, None) for name in (STATES, KEYS, CURSORS, COUNTERS)]
    others = (
        f"{i}: {f.state}"
        for i, f in evidence.tasks.items()
        if f.state in _FINAL and f.state != SUCCEEDED
    )
    return [
        _row(STATES, others),
        _row(KEYS, _keys(evidence, evidence.tasks)),
        _row(CURSORS, _cursors(evidence)),
        _row(COUNTERS, _counters(evidence, evidence.tasks)),
    ]


def _keys(evidence: Evidence, tasks: Mapping[str, Fact]) -> Iterable[str]:
    """A key that was promised, or is there at all, stands for exactly one task."""
    found = Counter(fact.key for fact in tasks.values() if fact.key)
    for key in found.keys() | _promised_keys(evidence):
        if found[key] != 1:
            yield f"{key}: {found[key]} tasks"


def _cursors(evidence: Evidence) -> Iterable[str]:
    """No cursor stands before a place that was acknowledged, or after a step whose tasks are not there."""
    reached: Counter[str] = Counter()
    for ack in evidence.acks:
        if ack.cursor:
            reached[ack.cursor] = max(reached[ack.cursor], ack.place)
    keys = {fact.key for fact in (evidence.tasks or {}).values()}
    for name in reached.keys() | evidence.cursors.keys():
        stands = evidence.cursors.get(name, 0)
        if stands < reached[name]:
            yield f"{name} stands at {stands}, {reached[name]} was acknowledged"
        for place in range(stands):
            if f"{name}/{place}/0" not in keys:
                yield f"{name} went past {place}, whose tasks are not there"


def _counters(evidence: Evidence, tasks: Mapping[str, Fact]) -> Iterable[str]:
    for name, (says, counts) in evidence.counters.items():
        if says != counts:
            yield f"{name} says {says}, there are {counts}"
    for ack in evidence.acks:
        for task in ack.tasks:
            fact = tasks.get(task.id)
            if fact and fact.state == SUCCEEDED and fact.counted != task.retries:
                yield f"{task.id} counted {fact.counted} attempts, {task.retries} failed"
