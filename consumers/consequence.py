"""What follows from an outcome: final, another attempt, or back to the queue with the gate closed. Pure."""

from __future__ import annotations

import random
from typing import NamedTuple

from consumers.outcome import Conclusion, Outcome
from durable.verdicts import Fail, GiveBack, Hold, Retry

#: Pauses before a counted attempt is repeated, s; the last one repeats.
RETRY_PAUSES_S = (10.0, 60.0, 300.0, 900.0)
OVERLOAD_PAUSES_S = (15.0, 30.0, 60.0, 120.0, 300.0)
#: A limit that names no time of its end is looked at again after this, s.
UNKNOWN_RESET_S = 900.0
SOONEST_PROBE_S = 30.0

_FINAL = {
    Outcome.DENIED,
    Outcome.REJECTED,
    Outcome.MAX_TURNS,
    Outcome.MAX_BUDGET,
    Outcome.CANCELLED,
}
_COUNTED = {Outcome.CRASHED, Outcome.TIMED_OUT, Outcome.SILENT, Outcome.UNVERIFIED}
_GATES = {Outcome.AUTH: "login", Outcome.BILLING: "billing", Outcome.USAGE_LIMIT: "usage limit"}


class Gate(NamedTuple):
    """An entry to close a credential's gate with; `until` in unix seconds, None for a person."""

    reason: str
    until: float | None


class Consequence(NamedTuple):
    """What to raise (None: success) and the gate entry to write first."""

    verdict: BaseException | None
    gate: Gate | None = None


def follows(
    end: Conclusion, *, counted: int, started: int, retries: int, on_crash: str, now: float
) -> Consequence:
    """The consequence of an outcome for a task with `counted` failed attempts among `started` ones."""
    name, message = end.outcome.value, end.message
    if end.outcome is Outcome.SUCCEEDED:
        return Consequence(None)
    if end.outcome in _FINAL:
        return Consequence(Fail(name, message, end.remedy, session_id=end.session_id))
    if end.outcome in _GATES:
        until = _limit_ends(end, now) if end.outcome is Outcome.USAGE_LIMIT else None
        return Consequence(GiveBack(name, message), Gate(_GATES[end.outcome], until))
    if end.outcome is Outcome.OVERLOADED:
        return Consequence(
            GiveBack(name, message, _pause(OVERLOAD_PAUSES_S, started - counted - 1))
        )
    if end.outcome in _COUNTED:
        return Consequence(_again(end, counted, retries, on_crash))
    return Consequence(GiveBack(name, message))


def _limit_ends(end: Conclusion, now: float) -> float:
    """When the next probe may go; a limit that says it is over already gets no probe after another."""
    return max(end.reset_at or now + UNKNOWN_RESET_S, now + SOONEST_PROBE_S)


def _again(end: Conclusion, counted: int, retries: int, on_crash: str) -> BaseException:
    name, message = end.outcome.value, end.message
    if counted >= retries:
        tries = f" (attempt {counted + 1} of {retries + 1})" if retries else ""
        return Fail(name, message + tries, end.remedy, session_id=end.session_id)
    if on_crash == "hold":
        return Hold(name, message)
    return Retry(name, message, _pause(RETRY_PAUSES_S, counted))


def _pause(pauses: tuple[float, ...], number: int) -> float:
    """With a fifth of jitter, so that what failed together does not return together."""
    return pauses[max(0, min(number, len(pauses) - 1))] * random.uniform(0.8, 1.2)
