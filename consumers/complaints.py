"""What the CLI's own words, codes and statuses mean: an outcome, and when a limit ends. Pure.

The codes and texts are those of Claude Code 2.1; tests/data/streams holds recordings of them.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from consumers.ending import Outcome

# Texts come first where the code alone would mislead: a disabled organisation is called an
# invalid request, a busy model a rate limit. The order matters: the first that is found decides.
_TEXTS: tuple[tuple[re.Pattern[str], Outcome], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), outcome)
    for pattern, outcome in (
        (r"not your usage limit|experiencing high load|repeated 529", Outcome.OVERLOADED),
        (r"credit balance is too low|usage credits required", Outcome.BILLING),
        (r"disabled organization|disabled API key auth", Outcome.AUTH),
        (r"please run /login|not logged in|invalid api key|oauth token", Outcome.AUTH),
        (r"failed to authenticate|authentication error|does not have access", Outcome.AUTH),
        (r"spend limit|out of usage|out of extra usage", Outcome.BILLING),
        (r"usage limit reached|you've hit your|limit reached\|\d+", Outcome.USAGE_LIMIT),
        (r"prompt is too long|issue with the selected model", Outcome.REJECTED),
    )
)
_CODES = {
    "authentication_failed": Outcome.AUTH,
    "oauth_org_not_allowed": Outcome.AUTH,
    "billing_error": Outcome.BILLING,
    "rate_limit": Outcome.USAGE_LIMIT,
    "invalid_request": Outcome.REJECTED,
    "model_not_found": Outcome.REJECTED,
    "server_error": Outcome.OVERLOADED,
    "overloaded": Outcome.OVERLOADED,
}
_STATUSES = {
    401: Outcome.AUTH,
    402: Outcome.BILLING,
    403: Outcome.AUTH,
    408: Outcome.OVERLOADED,
    429: Outcome.USAGE_LIMIT,
}
_NETWORK = re.compile(
    r"connect|network|socket|fetch failed|timed? ?out|E(CONN|HOST|NET|AI_)[A-Z]+|overloaded",
    re.IGNORECASE,
)
_REFUSAL = re.compile(r"^(?:error|Error): (?P<why>.+)|^(?P<flag>--\S+ .+)", re.MULTILINE)
_SESSION = re.compile(r"no conversation found|session ID \S+ is already in use", re.IGNORECASE)
_ERRNO = re.compile(r"\bE[A-Z]{3,}\b|(?i:panic|out of memory)")

_UNIX = re.compile(r"limit reached\|(?P<unix>\d{10})\b")
_CLOCK = re.compile(
    r"resets?\s+(?:at\s+|on\s+)?"
    r"(?:(?P<month>[A-Za-z]{3})[a-z]*\.?\s+(?P<day>\d{1,2})(?:,?\s+(?P<year>\d{4}))?(?:,|\s+at)?\s+)?"
    r"(?P<hour>\d{1,2})(?::(?P<minute>\d{2}))?\s*(?P<half>am|pm)?"
    r"(?:\s*\((?P<zone>[^)]+)\))?",
    re.IGNORECASE,
)
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
JUST_PASSED = timedelta(minutes=2)
"""The CLI drops the seconds: a reset at 15:00:40 reads `3pm`, and still does at 15:00:30."""


def meaning(text: str, code: str | None, status: int | None) -> Outcome | None:
    """The outcome that the CLI's error stands for, or None when nothing in it is known."""
    for pattern, outcome in _TEXTS:
        if pattern.search(text):
            return _without_end(outcome, text)
    if code in _CODES:
        return _CODES[code]
    if status is not None and status >= 400:
        return _STATUSES.get(status, Outcome.OVERLOADED if status >= 500 else Outcome.REJECTED)
    return Outcome.OVERLOADED if _NETWORK.search(text) else None


def refusal(words: str) -> str | None:
    """Why the CLI refused to start (a bad flag, a missing file), from its plain text.

    None for anything that another try may get past: a system error, a crash of the program.
    """
    found = _REFUSAL.search(words)
    if found is None or _ERRNO.search(words):
        return None
    return (found["why"] or found["flag"]).strip()


def session_refused(words: str) -> bool:
    """The session to resume does not exist, or the one to begin does already."""
    return _SESSION.search(words) is not None


def reset_time(text: str, now: float) -> float | None:
    """When a limit ends, in Unix seconds, from texts such as `resets 3pm (Europe/Berlin)`.

    The next such time after `now`; one that passed a moment ago counts as now. Without a zone, or
    with an unknown one, UTC is meant.
    """
    if unix := _UNIX.search(text):
        return float(unix["unix"])
    found = _CLOCK.search(text)
    if found is None or not (found["half"] or found["minute"]):
        return None
    here = datetime.fromtimestamp(now, _zone(found["zone"]))
    try:
        return _next(found, here).timestamp()
    except ValueError:  # no such day or hour
        return None


def _without_end(outcome: Outcome, text: str) -> Outcome:
    """A spending limit that resets by itself needs no person: it is a usage limit."""
    resets = outcome is Outcome.BILLING and _CLOCK.search(text)
    return Outcome.USAGE_LIMIT if resets else outcome


def _next(found: re.Match[str], here: datetime) -> datetime:
    hour = int(found["hour"])
    if found["half"]:
        hour = hour % 12 + (12 if found["half"].lower() == "pm" else 0)
    minute = int(found["minute"] or 0)
    when = here.replace(hour=hour, minute=minute, second=0, microsecond=0, fold=0)
    if not found["month"]:
        return when if when >= here - JUST_PASSED else when + timedelta(days=1)
    month = _MONTHS.index(found["month"].lower()) + 1
    when = when.replace(year=int(found["year"] or here.year), month=month, day=int(found["day"]))
    if not found["year"] and when < here - timedelta(days=1):
        when = when.replace(year=when.year + 1)
    return when


def _zone(name: str | None) -> tzinfo:
    try:
        return ZoneInfo(name) if name else UTC
    except (KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
        return UTC
