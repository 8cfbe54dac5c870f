"""Cron as Debian means it: tables by hand. What others compute beside it is in test_cron_oracles.py."""

from __future__ import annotations

import datetime as dt
import re
from zoneinfo import ZoneInfo

import pytest

from durable.cronspec import CronError, CronSpec
from producers.cron import Cron
from settings.zones import machine_zone, zone
from tests.conftest import ROOT

BERLIN = ZoneInfo("Europe/Berlin")


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def local(text: str, tz: dt.tzinfo = BERLIN, fold: int = 0) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=tz, fold=fold).astimezone(dt.UTC)


def ticks(cron: Cron, after: dt.datetime, count: int) -> list[dt.datetime]:
    found = []
    for _ in range(count):
        after = cron.next(after)
        found.append(after)
    return found


# -- the five fields (each row of the table in docs/producers.md), names, ranges, steps


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("* * * * *", ["2026-01-01T00:01", "2026-01-01T00:02"]),
        ("59 * * * *", ["2026-01-01T00:59", "2026-01-01T01:59"]),
        ("0 23 * * *", ["2026-01-01T23:00", "2026-01-02T23:00"]),
        ("0 0 31 * *", ["2026-01-31T00:00", "2026-03-31T00:00"]),
        ("0 0 1 12 *", ["2026-12-01T00:00", "2027-12-01T00:00"]),
        ("0 9 * * 1", ["2026-01-05T09:00", "2026-01-12T09:00"]),
        ("0 9 * * 0", ["2026-01-04T09:00", "2026-01-11T09:00"]),
        ("0 9 * * 7", ["2026-01-04T09:00", "2026-01-11T09:00"]),
        ("0 9 * * sun", ["2026-01-04T09:00", "2026-01-11T09:00"]),
        ("0 9 * FEB-mar Mon-FRI", ["2026-02-02T09:00", "2026-02-03T09:00"]),
        (
            "0 9 * * 5-7",
            ["2026-01-02T09:00", "2026-01-03T09:00", "2026-01-04T09:00", "2026-01-09T09:00"],
        ),
        (
            "*/20 8-9 * * *",
            ["2026-01-01T08:00", "2026-01-01T08:20", "2026-01-01T08:40", "2026-01-01T09:00"],
        ),
        ("10-30/10 8 * * *", ["2026-01-01T08:10", "2026-01-01T08:20", "2026-01-01T08:30"]),
        ("0 1,3 * * *", ["2026-01-01T01:00", "2026-01-01T03:00"]),
        ("0 0 29 2 *", ["2028-02-29T00:00", "2032-02-29T00:00"]),
        ("@hourly", ["2026-01-01T01:00"]),
        ("@daily", ["2026-01-02T00:00"]),
        ("@midnight", ["2026-01-02T00:00"]),
        ("@weekly", ["2026-01-04T00:00"]),
        ("@monthly", ["2026-02-01T00:00"]),
        ("@yearly", ["2027-01-01T00:00"]),
        ("@Annually", ["2027-01-01T00:00"]),
        # day of month OR day of week, unless one of them begins with a star
        ("0 0 13 * 5", ["2026-01-02T00:00", "2026-01-09T00:00", "2026-01-13T00:00"]),
        ("0 0 13 * *", ["2026-01-13T00:00", "2026-02-13T00:00"]),
        ("0 0 13 * 0-6", ["2026-01-02T00:00", "2026-01-03T00:00"]),
        ("0 0 */2 * 5", ["2026-01-09T00:00", "2026-01-23T00:00"]),
        ("0 0 13 * */5", ["2026-02-13T00:00", "2026-03-13T00:00"]),
        ("0 0 13 * *,5", ["2026-01-13T00:00", "2026-02-13T00:00"]),
        ("0 0 30 2 mon", ["2026-02-02T00:00", "2026-02-09T00:00"]),
    ],
)
def test_when_it_fires(expr: str, expected: list[str]) -> None:
    found = ticks(Cron(expr, dt.UTC), utc("2026-01-01T00:00"), len(expected))
    assert found == [utc(text) for text in expected]


TABLE = re.compile(r"^\| (\S.*?) \| (\d+)-(\d+) \|(.*)\|$", re.MULTILINE)
ROWS = TABLE.findall((ROOT / "docs" / "producers.md").read_text())


def test_the_readme_has_a_row_for_each_field() -> None:
    told = [row[0] for row in ROWS]
    assert told == ["minute", "hour", "day of the month", "month", "day of the week"]


@pytest.mark.parametrize("place", range(5))
def test_a_field_takes_what_its_row_of_the_readme_says_and_nothing_beyond(place: int) -> None:
    def spec(value: object) -> CronSpec:
        fields = ["0", "0", "1", "1", "*"]
        fields[place] = str(value)
        return CronSpec(" ".join(fields))

    title, low, high, more = ROWS[place]
    for value in range(int(low), int(high) + 1):
        assert spec(value).values[place] == {value}
    beyond = int(high) + 1
    if "Sunday is 0, and 7 as well" in more:
        assert spec(beyond).values == spec(0).values
        beyond += 1
    for value in (int(low) - 1, beyond):
        with pytest.raises(CronError, match=title.replace(" the ", " ")):
            spec(value)
    names = re.findall(r"`(\w+)` to `(\w+)`", more)
    for first, last in names:
        assert spec(first).values[place] == {int(low)}
        assert spec(last).values[place] == {int(high)}
    assert bool(names) == (place > 2)


@pytest.mark.parametrize(
    ("expr", "reason"),
    [
        ("0 9 * * * *", r"6 fields.*no seconds here; without the first it reads '9 \* \* \* \*'"),
        ("0 9 * *", "4 fields; five are read: minute hour day-of-month month day-of-week"),
        ("", "0 fields"),
        ("60 * * * *", "minute: 60 is not within 0 and 59"),
        ("0 24 * * *", "hour: 24 is not within 0 and 23"),
        ("0 0 0 * *", "day of month: 0 is not within 1 and 31"),
        ("0 0 * 13 *", "month: 13 is not within 1 and 12"),
        ("0 0 * * 8", "day of week: 8 is not within 0 and 7"),
        ("0 0 * jann *", "month: 'jann' is none of 1-12 or jan-dec"),
        ("0 0 mon * *", "day of month: 'mon' is none of 1-31"),
        ("30-10 * * * *", "minute: '30-10' runs backwards; write 30-59,0-10"),
        ("5/15 * * * *", "minute: a step needs a range, such as 5-59/15"),
        ("*/0 * * * *", "minute: step 0 is not within 1 and 59"),
        ("*/90 * * * *", "minute: step 90 is not within 1 and 59"),
        ("0 0 L * *", "day of month: 'l' is none of"),
        ("0 0 * * 1#2", "is not a value, a range, a step or"),
        ("1,,2 * * * *", "is not a value"),
        ("-1 * * * *", "is not a value"),
        ("٣ * * * *", "is not a value"),
        ("@reboot", "unknown name; known are @yearly"),
        ("0 0 31 2 *", r"day 31 never comes in month 2, whose last day is 29; '0 0 29 2 \*'"),
        ("0 0 31 4,6,9,11 *", "whose last day is 30"),
        ("0 0 30 feb */2", "never comes"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(expr: str, reason: str) -> None:
    with pytest.raises(CronError, match=reason):
        CronSpec(expr)


def test_an_unknown_zone_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(CronError, match="did you mean 'Europe/Berlin'"):
        CronSpec("@daily", "Europe/Berlln")


# -- clock changes in Berlin: 2026-03-29 02:00 → 03:00, 2026-10-25 03:00 → 02:00


def test_a_named_time_in_the_skipped_hour_fires_once_right_after_it() -> None:
    found = ticks(Cron("0,30 2 * * *", BERLIN), local("2026-03-28T12:00"), 3)
    assert found == [
        local("2026-03-29T03:00"),
        local("2026-03-30T02:00"),
        local("2026-03-30T02:30"),
    ]


def test_a_named_time_in_the_repeated_hour_fires_once_the_first_time() -> None:
    found = ticks(Cron("30 2 * * *", BERLIN), local("2026-10-24T12:00"), 2)
    assert found == [local("2026-10-25T02:30"), local("2026-10-26T02:30")]
    between = local("2026-10-25T02:15", fold=1)
    assert Cron("30 2 * * *", BERLIN).next(between) == local("2026-10-26T02:30")


def test_a_wildcard_follows_real_time_through_both_changes() -> None:
    hourly = Cron("0 * * * *", BERLIN)
    assert ticks(hourly, local("2026-03-29T00:30"), 3) == [
        local("2026-03-29T01:00"),
        local("2026-03-29T03:00"),
        local("2026-03-29T04:00"),
    ]
    assert ticks(hourly, local("2026-10-25T01:30"), 3) == [
        local("2026-10-25T02:00"),
        local("2026-10-25T02:00", fold=1),
        local("2026-10-25T03:00"),
    ]


def test_the_whole_day_that_samoa_left_out() -> None:
    samoa = ZoneInfo("Pacific/Apia")  # 2011-12-30 never was there
    found = ticks(Cron("0 12 * * *", samoa), local("2011-12-29T12:00", samoa), 2)
    assert found == [local("2011-12-31T00:00", samoa), local("2011-12-31T12:00", samoa)]


# -- as Huey calls it, and the machine's zone


def test_it_is_a_validator_as_huey_calls_one() -> None:
    nine = CronSpec("0 9 * * 1", "Europe/Berlin")
    assert nine(dt.datetime(2026, 1, 5, 8, 0))  # naive is UTC
    assert not nine(dt.datetime(2026, 1, 5, 9, 0))
    assert nine(local("2026-07-06T09:00"))


def test_two_specs_of_one_text_are_equal_and_can_be_keys() -> None:
    assert {CronSpec("@daily"), CronSpec("@daily")} == {CronSpec("@daily")}


def test_the_machine_s_zone_is_used_where_none_is_named() -> None:
    assert zone(None, {"TZ": "Asia/Tokyo"}) == ZoneInfo("Asia/Tokyo")
    assert zone("Europe/Berlin", {"TZ": "Asia/Tokyo"}) == BERLIN
    assert machine_zone({"TZ": "No/Where"}).utcoffset(dt.datetime.now()) is not None
