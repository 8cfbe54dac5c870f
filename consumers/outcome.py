"""From what the stream said and how the process ended to one outcome. Pure: the time is given.

The order of belief, as `_outcome` has it:

1. Claude never started: `rejected` where the call itself is at fault (no such program or folder),
   `crashed` where the runner or the machine is.
2. A complete result without an error had arrived: it counts, whatever we or a person did after it.
   The work is done and paid for; a stop or a cancel that came a moment later does not undo it.
3. A person's cancel.
4. A login, credit or limit that the stream complains of, or a result whose error is known: that
   explains the end better than our own reason, which often follows from it.
5. Our own reason; only, where it is time (`timed_out`, `silent`) and the CLI was busy trying an API
   that does not answer, that is what it is called.
6. Without any: a refusal to start in plain text (`rejected`), else `crashed`. Never by the exit
   status alone, which versions of the CLI set differently.
"""

from __future__ import annotations

from typing import Any

from consumers import complaints, remedies
from consumers.ending import Conclusion, Exit, Outcome
from consumers.stream import Summary, number

__all__ = ["CLOSING", "Conclusion", "Exit", "Outcome", "conclude", "early"]

CLOSING = frozenset({Outcome.AUTH, Outcome.BILLING, Outcome.USAGE_LIMIT})
"""The outcomes that close the gate: no other task would fare better."""

SHORT_OF = frozenset({11, 12, 23, 24, 26, 28, 35})
"""EAGAIN, ENOMEM, ENFILE, EMFILE, ETXTBSY (claude is being updated), ENOSPC, EAGAIN of macOS."""

_STOPS = {
    "cancelled": Outcome.CANCELLED,
    "timed_out": Outcome.TIMED_OUT,
    "tool_timed_out": Outcome.TIMED_OUT,
    "silent": Outcome.SILENT,
    "lingering": Outcome.CRASHED,  # it had given a result, but none that says anything
}
_SUBTYPES = {
    "error_max_turns": Outcome.MAX_TURNS,
    "error_max_budget_usd": Outcome.MAX_BUDGET,
    "error_max_structured_output_retries": Outcome.UNVERIFIED,
}


def conclude(summary: Summary, ended: Exit, now: float, on_denied: str = "fail") -> Conclusion:
    """The one outcome of an attempt. `now` is Unix seconds; `on_denied` is `fail` or `accept`."""
    outcome = _outcome(summary, ended, on_denied)
    result = summary.result or {}
    return Conclusion(
        outcome=outcome,
        message=remedies.message(outcome, summary, ended),
        remedy=remedies.remedy(outcome, summary, ended),
        reset_at=_reset_at(summary, now) if outcome is Outcome.USAGE_LIMIT else None,
        session_gone=_session_gone(summary, ended),
        text=summary.text,
        structured=result.get("structured_output"),
        session_id=summary.session_id,
        cost_usd=summary.cost_usd,
        turns=summary.turns,
        duration_s=_duration_s(result, ended),
        usage=summary.usage,
    )


def _session_gone(summary: Summary, ended: Exit) -> bool:
    """A run that has had an answer had its session: such words are then those of a program beside it."""
    return not summary.alive and complaints.session_refused(remedies.words(summary, ended))


def early(summary: Summary) -> Outcome | None:
    """A reason to stop the run at once, seen before its end; one of CLOSING.

    With a key that is refused the CLI goes on trying for minutes. With a login it tries a second
    time after renewing the token, so there the first refusal decides nothing yet.
    """
    pending = _of_retry(summary)
    first = (summary.api_retry or {}).get("attempt") == 1
    renewing = first and summary.api_key_source in (None, "none")
    if pending is Outcome.BILLING or (pending is Outcome.AUTH and not renewing):
        return pending
    if summary.limited:
        return Outcome.USAGE_LIMIT
    failed = _of_result(summary)
    return failed if failed in CLOSING else None


def _outcome(summary: Summary, ended: Exit, on_denied: str) -> Outcome:
    if ended.spawn_error is not None:
        ours = ended.spawn_errno is None or ended.spawn_errno in SHORT_OF
        return Outcome.CRASHED if ours else Outcome.REJECTED
    if _complete(summary):
        return Outcome.DENIED if summary.denials and on_denied == "fail" else Outcome.SUCCEEDED
    if ended.stopped == "cancelled":
        return Outcome.CANCELLED
    if known := early(summary) or _of_result(summary):
        return known
    if ended.stopped in ("timed_out", "silent") and (waited_for := _of_retry(summary)):
        return waited_for
    if ended.stopped is not None:
        return _STOPS.get(ended.stopped, Outcome.INTERRUPTED)
    return _of_plain_text(summary, ended)


def _complete(summary: Summary) -> bool:
    """A result that says success, and whose last words are not an error of the CLI's own.

    A rate limit has been reported as a success with exit status 0 (claude-code#79500).
    """
    result = summary.result
    if result is None or result.get("is_error") or result.get("subtype") != "success":
        return False
    return not summary.aborted and not (summary.synthetic and _meaning(summary))


def _of_result(summary: Summary) -> Outcome | None:
    """What a result with an error stands for; None without one, or when it says nothing known."""
    if summary.result is None or summary.aborted or _complete(summary):
        return None
    return _SUBTYPES.get(str(summary.result.get("subtype"))) or _meaning(summary)


def _of_retry(summary: Summary) -> Outcome | None:
    """What the API last failed with, while the CLI was still trying."""
    if summary.api_retry is None:
        return None
    code, status = summary.api_retry.get("error"), summary.api_retry.get("error_status")
    known = complaints.meaning("", str(code), status if isinstance(status, int) else None)
    return known or Outcome.OVERLOADED  # no status at all: there was no connection


def _meaning(summary: Summary) -> Outcome | None:
    status = (summary.result or {}).get("api_error_status")
    code = summary.error if summary.synthetic else None
    return complaints.meaning(summary.complaint, code, status if isinstance(status, int) else None)


def _of_plain_text(summary: Summary, ended: Exit) -> Outcome:
    """For an end without a result that helps: what the CLI printed instead, if it never began."""
    began = summary.model is not None
    if began or ended.signal is not None or ended.exit_code == 0 or ended.lost_runner:
        return Outcome.CRASHED
    words = remedies.words(summary, ended)
    if complaints.session_refused(words):  # a fresh session gets past it
        return Outcome.CRASHED
    if known := complaints.meaning(words, None, None):
        return known
    return Outcome.REJECTED if complaints.refusal(words) else Outcome.CRASHED


def _reset_at(summary: Summary, now: float) -> float | None:
    resets_at = number((summary.rate_limit or {}).get("resetsAt"))
    if summary.limited and resets_at is not None:
        return float(resets_at)
    return complaints.reset_time(summary.complaint, now)


def _duration_s(result: dict[str, Any], ended: Exit) -> float | None:
    duration_ms = number(result.get("duration_ms"))
    if duration_ms is not None:
        return duration_ms / 1000
    if ended.started_at is None or ended.ended_at is None:
        return None
    return ended.ended_at - ended.started_at
