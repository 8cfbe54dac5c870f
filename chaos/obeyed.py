"""Whether the queue did what people said: cancel, hold, pause. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from chaos.body import Line
from chaos.facts import CANCELLED, FAILED, Fact

CANCEL, HOLD, REQUEUE, HASTEN = "cancel", "hold", "requeue", "hasten"
#: Where a task waits: what a person does to it there holds at once.
_WAITING = ("scheduled", "queued", "held")

#: An entry of the event stream: ms of the server, and a number.
Place = tuple[int, int]


class Deed(msgspec.Struct, frozen=True):
    """What was done to one task, and in which state the answer found it; moments are those of bodies' lines.

    It was asked until it was answered, so an answer may find what an earlier try has done.
    """

    what: str
    task: str
    found: str
    asked_ns: int
    answered_ns: int


class Pause(msgspec.Struct, frozen=True):
    """The last event when a pause had been answered, and the last one before its end was asked for."""

    after: Place
    until: Place


class Claimed(msgspec.Struct, frozen=True):
    """A `leased` event and where it stands in the stream."""

    at: Place
    task: str


def cancelled_for_certain(deeds: Iterable[Deed]) -> dict[str, int]:
    """Tasks that a cancel found waiting, or cancelled already, and since when they are."""
    stopped = (*_WAITING, CANCELLED)
    return {d.task: d.answered_ns for d in deeds if d.what == CANCEL and d.found in stopped}


def after_cancel(
    deeds: Sequence[Deed], tasks: Mapping[str, Fact], lines: Iterable[Line]
) -> Iterator[str]:
    """Tasks that were cancelled while they waited, and yet lived on or ended otherwise."""
    since = cancelled_for_certain(deeds)
    for task in since:
        state = tasks[task].state if task in tasks else "gone"
        if state != CANCELLED:
            yield f"{task}: cancelled while it waited, but {state}"
    for line in lines:
        if line.at_ns > since.get(line.task, line.at_ns):
            yield f"{line.task}: {line.word} of run {line.run} after its cancel"


def unexpected_ends(deeds: Iterable[Deed], tasks: Mapping[str, Fact]) -> Iterator[str]:
    """Tasks that ended neither well nor by a cancel that somebody asked for."""
    asked = {deed.task for deed in deeds if deed.what == CANCEL}
    for task, fact in tasks.items():
        if fact.state == FAILED or (fact.state == CANCELLED and task not in asked):
            yield f"{task}: {fact.state}"


def while_held(deeds: Iterable[Deed], lines: Sequence[Line]) -> Iterator[str]:
    """Tasks that lived between the answer of hold and the question of requeue."""
    for task, since, until in _held(deeds):
        for line in lines:
            if line.task == task and since < line.at_ns < until:
                yield f"{task}: {line.word} of run {line.run} while it was held"


def _held(deeds: Iterable[Deed]) -> Iterator[tuple[str, int, float]]:
    """Task, from, to; a hold that nobody ends lasts for ever."""
    begun: dict[str, int] = {}
    for deed in sorted(deeds, key=lambda d: d.asked_ns):
        if deed.what == HOLD and deed.found in _WAITING:
            begun.setdefault(deed.task, deed.answered_ns)
        elif deed.what == REQUEUE and deed.task in begun:
            yield deed.task, begun.pop(deed.task), deed.asked_ns
    yield from ((task, since, float("inf")) for task, since in begun.items())


def sent_back(deeds: Iterable[Deed]) -> set[str]:
    """Tasks that a requeue was asked for."""
    return {deed.task for deed in deeds if deed.what == REQUEUE}


def in_a_pause(pauses: Sequence[Pause], claims: Iterable[Claimed]) -> Iterator[str]:
    """Tasks that were claimed while the gate was closed to all."""
    for claim in claims:
        if any(pause.after < claim.at <= pause.until for pause in pauses):
            yield f"{claim.task}: claimed at {claim.at[0]}-{claim.at[1]}"
