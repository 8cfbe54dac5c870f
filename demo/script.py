"""What a `STANDIN: {json}` directive asks for, as checked values: steps, obstacles, limits.

Pure: no clock, no disk, no network. demo/README.md documents the directives for test authors.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

MARK = re.compile(r"STANDIN:\s*(?=\{)")
TOP_KEYS = frozenset(
    {"steps", "text", "rate_limit", "reset_in_s", "claim", "utilization", "drip_s"}
)
OBSTACLE_KEYS = {
    "error": {"error", "message", "headers", "times"},
    "hang": {"hang", "times"},
    "cut": {"cut", "times"},
}

# Status → (error type, message), as the real API words them.
ERRORS: dict[int, tuple[str, str]] = {
    400: ("invalid_request_error", "messages: text content blocks must be non-empty"),
    401: ("authentication_error", "invalid x-api-key"),
    403: ("permission_error", "Your account does not have permission to use this resource."),
    404: ("not_found_error", "Not found"),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: ("rate_limit_error", "This request would exceed your account's rate limit."),
    500: ("api_error", "Internal server error"),
    503: ("api_error", "Service unavailable"),
    529: ("overloaded_error", "Overloaded"),
}
WINDOWS = {"five_hour": "5h", "seven_day": "7d"}
UTILIZATION = {"allowed": 0.2, "allowed_warning": 0.9, "rejected": 1.0}


class DirectiveError(ValueError):
    """A directive that cannot be obeyed; its message says which part and what is allowed."""


@dataclass(frozen=True)
class Say:
    """A piece of the answer's text."""

    text: str


@dataclass(frozen=True)
class Use:
    """A tool call. The last of those made at once ends the turn; the next step follows their results."""

    tool: str
    input: Mapping[str, object]
    last: bool = True


@dataclass(frozen=True)
class Wait:
    """Silence for `seconds` before the next step, as when a model thinks."""

    seconds: float


@dataclass(frozen=True)
class Fail:
    """An HTTP error instead of an answer; the first `times` requests only, or all of them."""

    status: int
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)
    times: int | None = None


@dataclass(frozen=True)
class Hang:
    """No further byte until the client leaves: before the headers, or in mid-stream."""

    where: Literal["before", "mid"]
    times: int | None = None


@dataclass(frozen=True)
class Cut:
    """The connection breaks in mid-stream."""

    times: int | None = None


Obstacle = Fail | Hang | Cut
Step = Say | Use | Wait | Obstacle


@dataclass(frozen=True)
class Limits:
    """A subscription's usage limit, as the API's response headers tell it."""

    status: str
    reset_in_s: float
    claim: str
    utilization: float

    def headers(self, now_s: float) -> dict[str, str]:
        """Give the `anthropic-ratelimit-unified-*` headers; `now_s` is Unix time."""
        reset = str(int(now_s + self.reset_in_s))
        prefix = "anthropic-ratelimit-unified"
        told = {
            f"{prefix}-status": self.status,
            f"{prefix}-reset": reset,
            f"{prefix}-representative-claim": self.claim,
        }
        for claim, window in WINDOWS.items():
            meant = claim == self.claim
            told[f"{prefix}-{window}-status"] = self.status if meant else "allowed"
            told[f"{prefix}-{window}-utilization"] = str(self.utilization if meant else 0.1)
            told[f"{prefix}-{window}-reset"] = reset
        if self.status == "allowed_warning":
            # Without it the CLI works out for itself whether this use is worth a warning.
            threshold = f"{prefix}-{WINDOWS[self.claim]}-surpassed-threshold"
            told[threshold] = str(self.utilization)
        return told


@dataclass(frozen=True)
class Script:
    """A parsed directive: what meets every request, and the steps of the answer in turns."""

    steps: tuple[Step, ...] = ()
    obstacle: Obstacle | None = None
    limits: Limits | None = None
    drip_s: float = 0.0

    def limits_told(self, refusing: bool) -> Limits | None:
        """Give the limits for an answer; one that is not refused is not told "rejected"."""
        if self.limits is None or refusing or self.limits.status != "rejected":
            return self.limits
        return replace(self.limits, status="allowed", utilization=UTILIZATION["allowed"])

    def turns(self) -> list[tuple[Step, ...]]:
        """Split the steps after each tool call; the last turn has none and ends the answer."""
        turns: list[list[Step]] = [[]]
        for step in self.steps:
            turns[-1].append(step)
            if isinstance(step, Use) and step.last:
                turns.append([])
        return [tuple(turn) for turn in turns]


def find(text: str) -> str | None:
    """Give the JSON text of the first directive in `text`, or None where there is none.

    Raises DirectiveError when the text after the mark is no JSON.
    """
    mark = MARK.search(text)
    if mark is None:
        return None
    try:
        _, end = json.JSONDecoder().raw_decode(text, mark.end())
    except ValueError as error:
        raise DirectiveError(f"the directive is no JSON: {error}") from error
    return text[mark.end() : end]


def parse(source: str) -> Script:
    """Check one directive's JSON; raises DirectiveError that says what is allowed."""
    keys = json.loads(source)
    obstacle, rest = _obstacle(keys)
    unknown = sorted(rest.keys() - TOP_KEYS)
    if unknown:
        raise DirectiveError(
            f"unknown key {', '.join(unknown)}; allowed: {', '.join(sorted(TOP_KEYS))}, "
            f"{', '.join(OBSTACLE_KEYS)} (with message, headers, times)"
        )
    limits = _limits(rest)
    if obstacle is None and limits is not None and limits.status == "rejected":
        obstacle = Fail(429, ERRORS[429][1])
    return Script(
        steps=_steps(rest),
        obstacle=obstacle,
        limits=limits,
        drip_s=_seconds(rest.get("drip_s", 0), "drip_s"),
    )


def _steps(keys: Mapping[str, object]) -> tuple[Step, ...]:
    given = keys.get("steps", [])
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise DirectiveError("steps is a list, one object a step")
    steps = [made for number, step in enumerate(given) for made in _made(step, number)]
    if "text" in keys:
        steps.append(Say(_text(keys["text"], "text")))
    return tuple(steps)


def _made(given: object, number: int) -> Sequence[Step]:
    """The steps that one entry of the list stands for: one, or several calls at once."""
    if not (isinstance(given, dict) and isinstance(given.get("tools"), list)):
        return [_step(given, number)]
    calls = [_step(call, number) for call in given["tools"]]
    uses = [call for call in calls if isinstance(call, Use)]
    if len(given) > 1 or not calls or len(uses) < len(calls):
        raise DirectiveError(
            f"steps[{number}].tools is a list of {{tool, input}}, and stands alone"
        )
    return [replace(use, last=False) for use in uses[:-1]] + uses[-1:]


def _step(given: object, number: int) -> Step:
    where = f"steps[{number}]"
    if not isinstance(given, dict):
        raise DirectiveError(f"{where} is no object")
    match given:
        case {"tool": str(tool), "input": dict(arguments)} if len(given) == 2:
            return Use(tool, arguments)
        case {"text": text} if len(given) == 1:
            return Say(_text(text, f"{where}.text"))
        case {"sleep": seconds} if len(given) == 1:
            return Wait(_seconds(seconds, f"{where}.sleep"))
    obstacle, rest = _obstacle(given)
    if obstacle is None or rest:
        raise DirectiveError(
            f"{where} is none of {{tool, input}}, {{tools}}, {{text}}, {{sleep}}, {{error}}, {{hang}}, {{cut}}"
        )
    return obstacle


def _obstacle(keys: Mapping[str, object]) -> tuple[Obstacle | None, dict[str, object]]:
    """Take the obstacle's keys out; give it with the keys that are left."""
    named = [name for name in OBSTACLE_KEYS if name in keys]
    if len(named) > 1:
        raise DirectiveError(f"only one of {', '.join(OBSTACLE_KEYS)} at a time")
    if not named:
        return None, dict(keys)
    rest = {key: value for key, value in keys.items() if key not in OBSTACLE_KEYS[named[0]]}
    times = keys.get("times")
    if times is not None and not (type(times) is int and times > 0):
        raise DirectiveError("times is a whole number of requests, 1 or more")
    match named[0], keys[named[0]]:
        case "error", int(status) if status in ERRORS:
            return _failure(status, keys, times), rest
        case "hang", "before" | "mid" as where:
            return Hang(where, times), rest
        case "hang", True:
            return Hang("before", times), rest
        case "cut", True:
            return Cut(times), rest
    raise DirectiveError(
        f"error is one of {', '.join(map(str, ERRORS))}; hang is before or mid; cut is true"
    )


def _failure(status: int, keys: Mapping[str, object], times: int | None) -> Fail:
    headers = keys.get("headers", {})
    if not isinstance(headers, dict):
        raise DirectiveError("headers is an object of names and values")
    message = _text(keys.get("message", ERRORS[status][1]), "message")
    return Fail(status, message, {str(name): str(value) for name, value in headers.items()}, times)


def _limits(keys: Mapping[str, object]) -> Limits | None:
    status = keys.get("rate_limit")
    if status is None:
        return None
    if not isinstance(status, str) or status not in UTILIZATION:
        raise DirectiveError(f"rate_limit is one of {', '.join(UTILIZATION)}")
    claim = keys.get("claim", "five_hour")
    if not isinstance(claim, str) or claim not in WINDOWS:
        raise DirectiveError(f"claim is one of {', '.join(WINDOWS)}")
    return Limits(
        status=status,
        reset_in_s=_seconds(keys.get("reset_in_s", 3600), "reset_in_s"),
        claim=claim,
        utilization=_seconds(keys.get("utilization", UTILIZATION[status]), "utilization"),
    )


def _text(given: object, name: str) -> str:
    if not isinstance(given, str):
        raise DirectiveError(f"{name} is a text")
    return given


def _seconds(given: object, name: str) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or given < 0:
        raise DirectiveError(f"{name} is a number, 0 or more")
    return float(given)
