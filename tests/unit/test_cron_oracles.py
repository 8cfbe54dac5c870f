"""Cron beside what others compute: cronsim as the oracle, and brute force where cronsim errs."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from cronsim import CronSim

from durable.cronspec import CronError, CronSpec
from producers.cron import Cron
from tests.unit.test_cron import ticks, utc

MINUTE = dt.timedelta(minutes=1)


def field(rnd: random.Random, low: int, high: int) -> str:
    def value() -> str:
        return str(rnd.randint(low, high))

    first, last = sorted((rnd.randint(low, high), rnd.randint(low, high)))
    kinds = {
        "*": 30,
        f"*/{rnd.randint(1, high - low)}": 15,
        value(): 30,
        f"{first}-{last}": 10,
        (f"{first}-{last}/{rnd.randint(1, high - low)}" if first < last else value()): 7,
        ",".join(sorted({value(), value(), value()})): 8,
    }
    return rnd.choices(list(kinds), list(kinds.values()))[0]


def expressions(seed: int, count: int, *, daily: bool = False) -> Iterator[Cron]:
    """Random ones; `daily` leaves the date fields open, so that every clock change is hit."""
    rnd = random.Random(seed)
    while count:
        spans = ((0, 59), (0, 5)) if daily else ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
        expr = " ".join(field(rnd, *span) for span in spans) + (" * * *" if daily else "")
        try:
            spec = CronSpec(expr)
        except CronError:
            continue  # an impossible date
        count -= 1
        yield Cron(spec, dt.UTC)


@cache
def changes(name: str) -> list[dt.datetime]:
    """The minutes of 2026 and 2027 at which the offset becomes another one, no two within a week."""
    tz, moment, found = ZoneInfo(name), utc("2026-01-01T00:00"), []
    while moment.year < 2028:
        later = moment + dt.timedelta(days=7)
        if offset(tz, moment) != offset(tz, later):
            found.append(first_minute(tz, moment, later))
        moment = later
    return found


def offset(tz: ZoneInfo, moment: dt.datetime) -> dt.timedelta | None:
    return moment.astimezone(tz).utcoffset()


def first_minute(tz: ZoneInfo, low: dt.datetime, high: dt.datetime) -> dt.datetime:
    while high - low > MINUTE:
        middle = low + (high - low) // MINUTE // 2 * MINUTE
        low, high = (low, middle) if offset(tz, middle) == offset(tz, high) else (middle, high)
    return high


# Zones that change by a whole hour, and not at midnight: there cronsim is exact.
ORACLE_ZONES = (
    *("Europe/Berlin", "America/New_York", "Europe/Dublin", "Africa/Casablanca"),
    *("America/St_Johns", "Australia/Sydney", "Asia/Kolkata", "UTC"),
)


def by_cronsim(
    expr: str, tz: dt.tzinfo, after: dt.datetime, count: int, end: dt.datetime | None = None
) -> list[dt.datetime]:
    found: list[dt.datetime] = []
    for tick in CronSim(expr, after.astimezone(tz)):
        moment = tick.astimezone(dt.UTC)
        if moment > after and moment not in found:  # it repeats a tick moved out of a gap
            found.append(moment)
        if len(found) == count or (end and moment > end):
            break
    return found


def test_it_agrees_with_cronsim_on_a_thousand_random_expressions() -> None:
    rnd = random.Random(2026)
    for number, plain in enumerate(expressions(7, 1000)):
        name = ORACLE_ZONES[number % len(ORACLE_ZONES)]
        cron = Cron(plain.spec, ZoneInfo(name))
        start = utc("2026-01-01T00:00") + MINUTE * rnd.randrange(2 * 365 * 1440)
        if number % 2 and changes(name):
            start = rnd.choice(changes(name)) - MINUTE * rnd.randrange(300)
        wanted = by_cronsim(plain.spec.expr, cron.tz, start, 4)
        found = ticks(cron, start, len(wanted))
        assert found == wanted, (plain.spec.expr, name, start)


AROUND = ("30 2 * * *", "0 1-3 * * *", "0 0 * * *", "59 23 * * *", "*/20 * * * *", "5 */2 * * *")
#: Where clocks move by half an hour, or at a quarter, cronsim loses or invents ticks around 02:00.
CRONSIM_ERRS = ("Australia/Lord_Howe", "Pacific/Chatham")


def test_it_agrees_with_cronsim_on_every_clock_change_of_two_years_in_every_zone(
    tell: Callable[[str], None],
) -> None:
    wrong = {how(ZoneInfo(name), change) for name in CRONSIM_ERRS for change in changes(name)}
    seen = set()
    for name in sorted(available_timezones()):
        tz = ZoneInfo(name)
        for change in changes(name):
            what = how(tz, change)
            if what in seen:
                continue
            seen.add(what)
            low, high = change - dt.timedelta(hours=6), change + dt.timedelta(hours=8)
            for expr in AROUND:
                spec = CronSpec(expr)
                oracle = by_brute_force if what in wrong else until
                wanted = oracle(spec, tz, low, high)
                assert list(Cron(spec, tz).between(low, high)) == wanted, (expr, name, change)
    tell(
        f"{len(seen)} clock changes of 2026 and 2027, {len(AROUND)} expressions: as cronsim has it"
    )
    assert len(seen) > 100


def how(tz: ZoneInfo, change: dt.datetime) -> tuple[object, ...]:
    """When, from which offset, to which: many zones are the same in that."""
    return change, offset(tz, change - MINUTE), offset(tz, change)


def until(spec: CronSpec, tz: ZoneInfo, low: dt.datetime, high: dt.datetime) -> list[dt.datetime]:
    """By cronsim."""
    found = by_cronsim(spec.expr, tz, low, 200, high)
    return [tick for tick in found if tick <= high]


# Half an hour, 45 minutes past, and at midnight: cronsim loses or invents ticks in these.
ODD_ZONES = ("Australia/Lord_Howe", "Pacific/Chatham", "Africa/Cairo", "America/Santiago")


def by_brute_force(
    spec: CronSpec, tz: ZoneInfo, low: dt.datetime, high: dt.datetime
) -> list[dt.datetime]:
    """The rule as it is written: every minute of real time, or every minute of the wall clock."""
    minutes = [low + MINUTE * n for n in range(1, int((high - low) / MINUTE) + 1)]
    if spec.wildcard:
        return [m for m in minutes if spec.matches(m.astimezone(tz).replace(tzinfo=None))]
    found, skipped = set(), False
    wall = (low - dt.timedelta(hours=3)).astimezone(tz).replace(tzinfo=None)
    last = (high + dt.timedelta(hours=3)).astimezone(tz).replace(tzinfo=None)
    while wall <= last:
        moment = wall.replace(tzinfo=tz).astimezone(dt.UTC)
        exists = moment.astimezone(tz).replace(tzinfo=None, fold=0) == wall
        if exists and (skipped or spec.matches(wall)):
            found.add(moment)
        skipped = not exists and (skipped or spec.matches(wall))
        wall += MINUTE
    return sorted(m for m in found if low < m <= high)


def test_it_agrees_with_the_rule_spelled_out_in_zones_with_odd_changes() -> None:
    rnd = random.Random(1)
    for number, plain in enumerate(expressions(11, 60, daily=True)):
        name = ODD_ZONES[number % len(ODD_ZONES)]
        cron = Cron(plain.spec, ZoneInfo(name))
        low = rnd.choice(changes(name)) - dt.timedelta(hours=rnd.randrange(1, 24))
        high = low + dt.timedelta(hours=26)
        wanted = by_brute_force(plain.spec, ZoneInfo(name), low, high)
        assert list(cron.between(low, high)) == wanted, (plain.spec.expr, name, low)


@pytest.mark.parametrize("name", ["Europe/Berlin", "Australia/Lord_Howe", "Africa/Cairo", "UTC"])
def test_previous_is_the_mirror_of_next(name: str) -> None:
    for plain in expressions(13, 40):
        cron = Cron(plain.spec, ZoneInfo(name))
        around = changes(name)[0] if changes(name) else utc("2026-05-05T00:00")
        found = ticks(cron, around - dt.timedelta(hours=2), 3)
        for before, tick in pairwise(found):
            assert cron.previous(tick) == tick, plain.spec.expr
            assert cron.previous(tick - dt.timedelta(seconds=1)) == before, plain.spec.expr
