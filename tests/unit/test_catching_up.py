"""What becomes of ticks that come late: each of them is accounted for once, whatever the policy."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.catching_up import AT_ONCE, GRACE, Decision, Passed, Policy, decide
from producers.clockworks import Clockwork, CronClock, IntervalClock
from producers.cron import Cron
from producers.ticks import COUNTED

NOON = dt.datetime(2026, 11, 23, 12, 0, tzinfo=dt.UTC)
HOURLY = CronClock(Cron("0 * * * *", dt.UTC))
SECONDS = st.integers(0, 5 * 86_400)


def hours(count: float) -> dt.timedelta:
    return dt.timedelta(hours=count)


def settled(clock: Clockwork, after: dt.datetime, now: dt.datetime, policy: Policy) -> Decision:
    """As a scheduler does: again and again until nothing is owed; all that was decided, as one."""
    run: list[dt.datetime] = []
    passed: list[Passed] = []
    while (found := decide(clock, after, now, policy)).up_to is not None:
        assert found.up_to > after
        assert len(found.run) <= AT_ONCE
        run += found.run
        passed += found.passed
        after = found.up_to
    return Decision(tuple(run), tuple(passed), after, found.due)


def ticks(clock: Clockwork, after: dt.datetime, now: dt.datetime) -> list[dt.datetime]:
    found = []
    tick = clock.next(after)
    while tick <= now:
        found.append(tick)
        tick = clock.next(tick)
    return found


@given(
    away=SECONDS,
    window=st.integers(1, 3 * 86_400),
    catch_up=st.sampled_from(["latest", "all", "none"]),
    clock=st.sampled_from([HOURLY, IntervalClock(420.0), CronClock(Cron("*/7 8 * * *", dt.UTC))]),
)
def test_each_tick_is_accounted_for_once_and_in_order(
    away: int, window: int, catch_up: str, clock: Clockwork
) -> None:
    now = NOON + dt.timedelta(seconds=away)
    policy = Policy(catch_up, dt.timedelta(seconds=window))
    found = settled(clock, NOON, now, policy)
    owed = ticks(clock, NOON, now)
    spans = [t for p in found.passed for t in owed if p.first <= t <= p.last]
    assert sorted([*found.run, *spans]) == owed
    for passed in found.passed:  # beyond COUNTED they are not counted
        counted = sum(passed.first <= tick <= passed.last for tick in owed)
        assert min(passed.count, COUNTED) == min(counted, COUNTED)
    assert found.due == clock.next(now)
    oldest = now - max(policy.window, GRACE)
    assert all(tick >= oldest for tick in found.run)
    if owed and now - owed[-1] <= GRACE:
        assert owed[-1] in found.run, "a tick on time runs whatever the policy"
    if catch_up == "latest":
        assert len(found.run) <= 1
    if catch_up == "all":
        assert list(found.run) == [t for t in owed if t >= oldest]
    if catch_up == "none":
        assert all(now - tick <= GRACE for tick in found.run)


@pytest.mark.parametrize(
    ("catch_up", "away", "run", "why"),
    [
        ("latest", hours(0.5), 0, None),
        ("latest", hours(1), 1, None),
        ("latest", hours(23.5), 1, "into the tick of 2026-11-24T11:00Z"),
        ("latest", hours(24 * 3 + 0.5), 1, "into the tick of 2026-11-26T12:00Z"),
        ("none", hours(1.5), 0, "catch_up is none"),
        ("none", hours(2), 1, "catch_up is none"),
        ("all", hours(5.5), 5, None),
        ("all", hours(30.5), 24, "older than catch_up_window, which is 1d"),
    ],
)
def test_what_runs_and_why_not(
    catch_up: str, away: dt.timedelta, run: int, why: str | None
) -> None:
    found = decide(HOURLY, NOON, NOON + away, Policy(catch_up))
    assert len(found.run) == run
    assert [p.why for p in found.passed if why] == [p.why for p in found.passed]
    assert why is None or found.passed[0].why.startswith(why)


def test_a_weekly_tick_that_is_older_than_the_window_is_not_run() -> None:
    weekly = CronClock(Cron("0 9 * * 1", dt.UTC))
    found = decide(weekly, NOON, NOON + dt.timedelta(days=9), Policy())
    assert found.run == ()
    assert [p.why for p in found.passed] == ["older than catch_up_window, which is 1d"]


def test_a_passed_tick_says_itself_in_one_line() -> None:
    [passed] = decide(HOURLY, NOON, NOON + hours(3.5), Policy("none")).passed
    span = "2026-11-23T13:00Z to 2026-11-23T15:00Z"
    assert str(passed) == f"3 ticks skipped ({span}): catch_up is none"


def test_an_interval_counts_from_1970() -> None:
    clock = IntervalClock(900.0)
    assert clock.next(NOON) == NOON + dt.timedelta(minutes=15)
    assert clock.previous(NOON) == NOON
    assert clock.previous(NOON + dt.timedelta(seconds=899)) == NOON
    assert IntervalClock(0.5).next(NOON) == NOON + dt.timedelta(seconds=0.5)
