"""Ticks that nobody fires are told, and those that a scheduler is about to catch up with are not."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from alerts.overdue import Overdue
from alerts.times import DOWN_S
from durable.records import Cursor
from durable.store import LeaseStore
from producers.ticks import Place
from producers.timing import timing_of
from settings import Settings, load

NINE = dt.datetime(2026, 11, 23, 9, tzinfo=dt.UTC)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    text = 'schedules: {brief: {cron: "0 9 * * *", timezone: UTC, prompt: Go}}\n'
    (tmp_path / "baton.yaml").write_text(text)
    return load(tmp_path / "baton.yaml", {"BATON_VAR": str(tmp_path / "var")})


def stand(store: LeaseStore, settings: Settings, at: dt.datetime) -> None:
    """The scheduler has settled everything up to then."""
    spec = timing_of(settings.schedules["brief"], {}).clock.text
    before = store.read_cursor("schedule:brief")
    store.submit([], Cursor("schedule:brief", before, Place(at, spec).text()))


def look(overdue: Overdue, at: dt.datetime) -> list[bool]:
    """Whether each of what is overdue may yet pass."""
    return [c.weak for c in overdue.conditions(int(at.timestamp() * 1000), 300.0)]


def test_a_tick_that_nobody_fires_is_told_after_the_patience(
    store: LeaseStore, settings: Settings
) -> None:
    stand(store, settings, NINE - dt.timedelta(days=1))
    overdue, later = Overdue(settings, store), dt.timedelta(seconds=301)
    assert look(overdue, NINE + dt.timedelta(seconds=299)) == []
    assert look(overdue, NINE + later) == [True]
    assert look(overdue, NINE + later + dt.timedelta(seconds=DOWN_S)) == [False]
    stand(store, settings, NINE)
    assert look(overdue, NINE + later + dt.timedelta(hours=1)) == []


def test_after_a_boot_the_scheduler_may_catch_up_first(
    store: LeaseStore, settings: Settings
) -> None:
    stand(store, settings, NINE - dt.timedelta(days=3))
    overdue = Overdue(settings, store)
    assert look(overdue, NINE) == [True]
    stand(store, settings, NINE)
    assert look(overdue, NINE + dt.timedelta(seconds=DOWN_S)) == []


@pytest.mark.parametrize(
    "cursor", ["", "nonsense", '{"at": "2026-11-20T09:00Z", "spec": "edited"}']
)
def test_a_schedule_that_no_scheduler_has_begun_with_is_not_overdue(
    cursor: str, store: LeaseStore, settings: Settings
) -> None:
    if cursor:
        store.submit([], Cursor("schedule:brief", "", cursor))
    assert look(Overdue(settings, store), NINE) == []
