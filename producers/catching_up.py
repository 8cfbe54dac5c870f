"""What becomes of the ticks that a schedule owes: which run, which are merged or skipped, and why. Pure.

A tick that is no older than GRACE is on time, whatever the policy: a restart must not cost it. Beyond that
`catch_up` decides: `latest` runs the last one for all, `all` runs each, `none` runs none; and nothing runs that
is older than the window.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from producers.clockworks import Clockwork, span_words
from producers.ticks import COUNTED, Owed, iso, owed

GRACE = dt.timedelta(seconds=60)
#: `catch_up: all` fires this many in one step, so that no submit is too large.
AT_ONCE = 100


@dataclass(frozen=True)
class Policy:
    """How a schedule treats ticks that come late, and ticks that come while the one before still runs."""

    catch_up: str = "latest"  # latest, all, none
    window: dt.timedelta = dt.timedelta(days=1)
    overlap: str = "skip"  # skip, queue, allow


@dataclass(frozen=True)
class Passed:
    """Ticks that do not run, in a row: what became of them, and why."""

    what: str  # merged, skipped
    first: dt.datetime
    last: dt.datetime
    count: int
    why: str

    def __str__(self) -> str:
        many = how_many(self.count)
        span = iso(self.last) if self.count == 1 else f"{iso(self.first)} to {iso(self.last)}"
        return f"{many} {self.what} ({span}): {self.why}"


@dataclass(frozen=True)
class Decision:
    """The ticks to run, those that do not, up to where that settles the schedule, and when to look again."""

    run: tuple[dt.datetime, ...]
    passed: tuple[Passed, ...]
    up_to: dt.datetime | None
    due: dt.datetime


def decide(clock: Clockwork, after: dt.datetime, now: dt.datetime, policy: Policy) -> Decision:
    """What is to be done at `now` for a schedule that is settled up to `after`."""
    if policy.catch_up == "all":
        return _each(clock, after, now, policy.window)
    found = owed(clock, after, now)
    if found.last is None:
        return Decision((), (), None, found.due)
    late = now - found.last
    if late > GRACE and policy.catch_up == "none":
        return _none(found, found.last, "catch_up is none")
    if late > GRACE and late > policy.window:
        return _none(found, found.last, _too_old(policy.window))
    passed = _merged(found, found.last, policy) if found.before else ()
    return Decision((found.last,), passed, found.last, found.due)


def _each(clock: Clockwork, after: dt.datetime, now: dt.datetime, window: dt.timedelta) -> Decision:
    """Every tick of the window runs, the oldest first, some at a time."""
    oldest = now - max(window, GRACE)
    lost = owed(clock, after, oldest - dt.timedelta(microseconds=1)) if after < oldest else None
    passed = _none(lost, lost.last, _too_old(window)).passed if lost and lost.last else ()
    run: list[dt.datetime] = []
    due = clock.next(max(after, oldest - dt.timedelta(microseconds=1)))
    while due <= now and len(run) < AT_ONCE:
        if clock.is_tick(due):
            run.append(due)
        due = clock.next(due)
    up_to = run[-1] if run else (passed[-1].last if passed else None)
    return Decision(tuple(run), passed, up_to, due)


def _merged(found: Owed, last: dt.datetime, policy: Policy) -> tuple[Passed, ...]:
    assert found.first is not None
    assert found.before is not None
    if policy.catch_up == "none":
        what, why = "skipped", "catch_up is none"
    else:
        what, why = "merged", f"into the tick of {iso(last)}, which came before they could run"
    return (Passed(what, found.first, found.before, found.count - 1, why),)


def _none(found: Owed, last: dt.datetime, why: str) -> Decision:
    assert found.first is not None
    passed = Passed("skipped", found.first, last, found.count, why)
    return Decision((), (passed,), last, found.due)


def how_many(count: int) -> str:
    """A number of ticks in words; beyond COUNTED they are not counted."""
    if count >= COUNTED:
        return f"{COUNTED} ticks or more"
    return "1 tick" if count == 1 else f"{count} ticks"


def _too_old(window: dt.timedelta) -> str:
    return f"older than catch_up_window, which is {span_words(window)}"
