"""What follows from an outcome: final, another attempt, or back to the queue with the gate closed. Pure."""

from __future__ import annotations

import random
from typing import NamedTuple

from consumers.outcome import Conclusion, Outcome
from durable.verdicts import Fail, GiveBack, Hold, Retry

#: Pauses before a counted attempt is repeated, s; the last one repeats.
RETRY_PAUSES_S = (10.0, 60.0, 300.0, 900.0)
OVERLOAD_PAUSES_S = (15.0, 30.0, 60.0, 120.0, 300.0)
#: How long after a closing one task tries whether it is over, s; doubled after each that fails, up to an hour.
UNKNOWN_RESET_S = 900.0
LOGIN_LOOK_S = 300.0
#: The same for a limit that claims to be over already, or that the probe after its end has met again.
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
    """An entry to close a credential's gate with; `until` in unix seconds, None where nobody says a time."""

    reason: str
    until: float | None
    look_s: float


class Consequence(NamedTuple):
    """What to raise (None: success) and the gate entry to write first."""

    verdict: BaseException | None
    gate: Gate | None = None


def follows(
    end: Conclusion, *, counted: int, started: int, retries: int, on_crash: str
) -> Consequence:
    """The consequence of an outcome for a task with `counted` failed attempts among `started` ones."""
    name, message = end.outcome.value, end.message
    if end.outcome is Outcome.SUCCEEDED:
        return Consequence(None)
    if end.outcome in _FINAL:
        return Consequence(Fail(name, message, end.remedy, session_id=end.session_id))
    if end.outcome in _GATES:
        return Consequence(GiveBack(name, message), _gate(end))
    if end.outcome is Outcome.OVERLOADED:
        return Consequence(
            GiveBack(name, message, _pause(OVERLOAD_PAUSES_S, started - counted - 1))
        )
    if end.outcome in _COUNTED:
        return Consequence(_again(end, counted, retries, on_crash))
    return Consequence(GiveBack(name, message))


def _gate(end: Conclusion) -> Gate:
    if end.outcome is not Outcome.USAGE_LIMIT:
        return Gate(_GATES[end.outcome], None, LOGIN_LOOK_S)
    look_s = UNKNOWN_RESET_S if end.reset_at is None else SOONEST_PROBE_S
    return Gate(_GATES[end.outcome], end.reset_at, look_s)


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
