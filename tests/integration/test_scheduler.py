"""Schedules: each tick once and on time, whoever else schedules and however the clock is set."""

from __future__ import annotations

import datetime as dt
import json
import signal
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from huey import crontab

from durable.cronspec import CronError, CronSpec
from durable.errors import UnknownTaskError
from durable.problems import Problems
from durable.queue import BatonHuey
from durable.records import Cursor, Lease, Nothing, Record, State
from durable.store import LeaseStore
from producers.bell import Bell
from producers.catching_up import Policy
from producers.scheduler import Scheduler
from producers.schedules import from_huey, from_settings
from producers.templates import TemplateError
from producers.timing import spread
from settings import Duration
from settings import Schedule as Config
from tests.conftest import wait_until
from tests.makers import body, makers
from tests.site import Site

START = dt.datetime(2026, 11, 23, 8, 59, 30, tzinfo=dt.UTC)  # a Monday


class Rig:
    """A scheduler stepped by hand, with a clock of its own."""

    def __init__(self, store: LeaseStore, now: dt.datetime = START, **crons: str | Config) -> None:
        self.store, self.now, self.steady = store, now, 0.0
        self.configs = {
            name: cron if isinstance(cron, Config) else config(name, cron)
            for name, cron in crons.items()
        }
        self.faults: Callable[[str], None] = lambda point: None
        self.restart()

    def restart(self) -> None:
        self.scheduler = Scheduler(
            from_settings(self.configs, {"TZ": "UTC"}, makers(Path("/base"))),
            self.store,
            wall=lambda: self.now.timestamp(),
            clock=lambda: self.steady,
            faults=lambda point: self.faults(point),
        )
        self.scheduler.step()

    def advance(self, seconds: float) -> float:
        self.steady += seconds
        return self.set_clock(seconds)

    def set_clock(self, seconds: float) -> float:
        """Time does not pass; the clock is set."""
        self.now += dt.timedelta(seconds=seconds)
        return self.scheduler.step()

    def down(self, hours: float) -> None:
        """No scheduler runs for so long."""
        self.now += dt.timedelta(hours=hours)
        self.restart()
        self.scheduler.step()

    def told(self, name: str, limit: int = 20) -> list[tuple[str, str, int, str]]:
        entries = self.store.journal(f"schedule:{name}", limit)
        return [(e.what, e.about, e.count, e.why) for e in entries]

    @property
    def problems(self) -> dict[str, str]:
        """What stands, by subject."""
        standing = Problems(self.store.client, self.store.prefix).standing()
        return {problem.subject: problem.text for problem in standing}

    def finish(self) -> None:
        """Every task that waits succeeds."""
        for number, _ in enumerate(self.tasks):
            lease = self.store.claim("me", f"{self.now}-{number}", ("default",), 30_000)
            assert isinstance(lease, Lease)
            self.store.settle(lease, State.SUCCEEDED, outcome="succeeded")

    @property
    def tasks(self) -> list[Record]:
        return self.store.page(State.QUEUED, limit=10_000)

    @property
    def ticks(self) -> list[str]:
        return sorted(task.key.split(":", 2)[2] for task in self.tasks)


def config(name: str, cron: str, **fields: Any) -> Config:
    if "task" not in fields:
        fields.setdefault("prompt", "Write {{ name }} for {{ tick }}.")
    fields.setdefault("timezone", "UTC")
    fields.setdefault("overlap", "allow")  # no consumer is there to do the tasks
    return Config(name=name, cron=cron, **fields)


class Killed(BaseException):
    """Stands for SIGKILL."""


# -- on time


def test_a_tick_becomes_one_task_at_its_time_and_not_before(store: LeaseStore) -> None:
    rig = Rig(store, monday="0 9 * * 1")
    assert rig.advance(29.5) == pytest.approx(0.5)
    assert rig.tasks == []
    rig.advance(0.5)
    [task] = rig.tasks
    assert (task.source, task.key) == ("schedule:monday", "tick:monday:2026-11-23T09:00Z")
    assert body(store, task.id)["prompt"] == "Write monday for 2026-11-23T09:00Z."
    rig.advance(1.0)
    rig.advance(3600.0)
    assert len(rig.tasks) == 1


def test_the_sleep_is_never_longer_than_a_second_so_that_a_set_clock_is_noticed(
    store: LeaseStore,
) -> None:
    rig = Rig(store, yearly="@yearly")
    assert rig.advance(1.0) == 1.0
    assert Rig(store).advance(1.0) == 1.0


def test_a_schedule_is_read_in_its_zone(store: LeaseStore) -> None:
    berlin = config("briefing", "0 9 * * 1", timezone="Europe/Berlin")
    tokyo = config("other", "0 9 * * 1", timezone="Asia/Tokyo")
    rig = Rig(
        store, dt.datetime(2026, 11, 22, 23, 59, 59, tzinfo=dt.UTC), briefing=berlin, other=tokyo
    )
    for _ in range(10):
        rig.advance(3600)
    assert [task.key for task in rig.tasks] == [
        "tick:other:2026-11-23T00:00Z",
        "tick:briefing:2026-11-23T08:00Z",
    ]


def test_the_machine_s_zone_is_used_where_none_is_named(store: LeaseStore) -> None:
    entries = {"a": config("a", "0 9 * * *", timezone=None)}
    [schedule] = from_settings(entries, {"TZ": "Asia/Tokyo"}, makers(Path("/base")))
    assert schedule.clock.next(START) == dt.datetime(2026, 11, 24, 0, 0, tzinfo=dt.UTC)


def test_a_schedule_with_a_task_calls_it(store: LeaseStore) -> None:
    rig = Rig(store, nightly=config("nightly", "* * * * *", task="known"))
    rig.advance(31)
    assert body(store, rig.tasks[0].id) == {"name": "known", "args": []}


def test_the_result_file_may_carry_the_tick(store: LeaseStore) -> None:
    rig = Rig(store, daily=config("daily", "0 9 * * *", result="Reports/{{ tick }}.md"))
    rig.advance(31)
    assert body(store, rig.tasks[0].id)["options"]["result"] == "/base/Reports/2026-11-23T09:00Z.md"


def test_a_tick_fires_within_a_second_of_its_nominal_time(store: LeaseStore) -> None:
    nominal = 1_800_000_000.0 // 60 * 60 + 60
    behind = nominal - 1.2 - time.time()  # a clock that shows the next minute in 1.2 s
    fired: list[float] = []
    bell = Bell()

    def note(point: str) -> None:
        if point == "submitted":
            fired.append(time.time() + behind)
            bell.stop()

    entries = {"a": config("a", "* * * * *")}
    Scheduler(
        from_settings(entries, {}, makers(Path("/base"))),
        store,
        bell=bell,
        wall=lambda: time.time() + behind,
        faults=lambda point: note(point) if store.page(State.QUEUED) else None,
    ).run(lambda: None)
    assert 0 <= fired[0] - nominal < 1.0


# -- downtime, edits


def test_of_the_ticks_missed_while_nothing_ran_the_last_runs_late_and_the_others_are_merged(
    store: LeaseStore, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(store, hourly="0 * * * *")
    rig.down(hours=3)
    assert rig.ticks == ["2026-11-23T11:00Z"]
    assert "hourly: 2 ticks merged (2026-11-23T09:00Z to 2026-11-23T10:00Z)" in caplog.text
    assert rig.told("hourly") == [
        ("late", "2026-11-23T11:00Z", 1, "3570 s after its time"),
        (
            *("merged", "2026-11-23T09:00Z", 2),
            "into the tick of 2026-11-23T11:00Z, which came before they could run",
        ),
    ]
    rig.finish()
    rig.advance(31)
    assert rig.ticks == ["2026-11-23T12:00Z"]


def test_a_tick_that_is_older_than_the_window_is_skipped_and_said(store: LeaseStore) -> None:
    rig = Rig(store, daily=config("daily", "0 9 * * *", catch_up_window=Duration(3600)))
    rig.down(hours=3)
    assert rig.tasks == []
    [(what, about, _, why)] = rig.told("daily")
    assert (what, about) == ("skipped", "2026-11-23T09:00Z")
    assert why == "older than catch_up_window, which is 1h"


def test_with_catch_up_none_only_a_tick_on_time_runs(store: LeaseStore) -> None:
    rig = Rig(store, hourly=config("hourly", "0 * * * *", catch_up="none"))
    rig.down(hours=3)
    assert rig.tasks == []
    assert rig.told("hourly") == [("skipped", "2026-11-23T09:00Z", 3, "catch_up is none")]


def test_with_catch_up_all_every_tick_of_the_window_runs(store: LeaseStore) -> None:
    entry = config("x", "*/5 * * * *", catch_up="all", overlap="queue")
    rig = Rig(store, x=msgspec.structs.replace(entry, catch_up_window=Duration(2 * 86_400)))
    rig.down(hours=72)
    for _ in range(10):
        rig.advance(0)
    assert len(rig.tasks) == 2 * 288
    assert rig.ticks[0] == "2026-11-24T09:00Z"
    assert rig.ticks[-1] == "2026-11-26T08:55Z"


# -- standing problems


def test_a_late_tick_is_a_problem_until_one_is_on_time_again(store: LeaseStore) -> None:
    rig = Rig(store, hourly="0 * * * *", other="30 8 1 1 *")
    rig.advance(31)
    assert rig.problems == {}
    rig.down(hours=2.6)
    late = {"schedule:hourly": "the tick of 2026-11-23T11:00Z ran 36 min late"}
    assert rig.problems == late
    rig.restart()
    rig.advance(61)
    assert rig.problems == late, "a restart does not make it good"
    rig.advance(24 * 60 - 62)
    assert rig.ticks[-1] == "2026-11-23T12:00Z"
    assert rig.problems == {}


def test_ticks_that_never_run_are_a_problem_unless_they_are_merged(store: LeaseStore) -> None:
    window = {"catch_up_window": Duration(3600)}
    rig = Rig(
        store,
        daily=config("daily", "0 9 * * *", **window),
        none=config("none", "0 10 * * *", catch_up="none"),
        minutely=config("minutely", "* * * * *"),
    )
    rig.down(hours=3)
    assert rig.problems == {
        "schedule:daily": "1 tick skipped (2026-11-23T09:00Z): older than catch_up_window, which is 1h",
        "schedule:none": "1 tick skipped (2026-11-23T10:00Z): catch_up is none",
    }


def test_a_schedule_that_is_gone_has_no_problem(store: LeaseStore) -> None:
    rig = Rig(store, a="0 * * * *", b="0 * * * *")
    rig.down(hours=3)
    assert set(rig.problems) == {"schedule:a", "schedule:b"}
    del rig.configs["a"]
    rig.restart()
    assert set(rig.problems) == {"schedule:b"}


def test_a_tick_that_another_scheduler_fires_on_time_ends_the_problem_too(
    store: LeaseStore,
) -> None:
    one, other = rigs = [Rig(store, hourly="0 * * * *") for _ in range(2)]
    for rig in rigs:
        rig.advance(3 * 3600)
    assert list(one.problems) == ["schedule:hourly"]
    other.advance(31)
    one.advance(32)
    one.advance(120)
    assert one.problems == {}


# -- overlap, intervals, jitter


def test_a_tick_that_comes_while_the_one_before_is_not_done_is_skipped_with_its_reason(
    store: LeaseStore,
) -> None:
    rig = Rig(store, a=Config(name="a", cron="* * * * *", prompt="x", timezone="UTC"))
    rig.advance(31)
    rig.advance(60)
    [first] = rig.tasks
    assert [(what, about) for what, about, _, _ in rig.told("a")] == [
        ("skipped", "2026-11-23T09:01Z"),
        ("run", "2026-11-23T09:00Z"),
    ]
    assert store.journal("schedule:a")[0].id == first.id
    rig.finish()
    rig.advance(60)
    assert rig.ticks == ["2026-11-23T09:02Z"]


def test_ticks_that_queue_up_run_one_after_the_other(store: LeaseStore) -> None:
    rig = Rig(store, a=config("a", "* * * * *", overlap="queue"))
    for _ in range(3):
        rig.advance(60)
    assert [task.lock for task in rig.tasks] == ["schedule:a"] * 3
    assert isinstance(store.claim("me", "1", ("default",), 30_000), Lease)
    assert isinstance(store.claim("me", "2", ("default",), 30_000), Nothing)


def test_ticks_that_may_overlap_run_side_by_side(store: LeaseStore) -> None:
    rig = Rig(store, a=config("a", "* * * * *", overlap="allow"))
    for _ in range(3):
        rig.advance(60)
    assert [task.lock for task in rig.tasks] == [""] * 3
    found = [store.claim("me", str(n), ("default",), 30_000) for n in range(3)]
    assert all(isinstance(lease, Lease) for lease in found)


def test_an_interval_fires_at_the_same_times_after_a_restart(store: LeaseStore) -> None:
    entry = Config(name="a", every=Duration(900), prompt="x", overlap="allow")
    rig = Rig(store, a=entry)
    rig.advance(31)
    rig.advance(500)
    rig.restart()
    rig.advance(400)
    assert rig.ticks == ["2026-11-23T09:00Z", "2026-11-23T09:15Z"]


def test_a_schedule_with_jitter_fires_later_by_an_amount_of_its_own(store: LeaseStore) -> None:
    names = ("a", "b", "c", "d")
    entries = {n: config(n, "0 9 * * *", jitter=Duration(600)) for n in names}
    rig = Rig(store, START, **entries)
    fired: dict[str, float] = {}
    for _ in range(640):
        rig.advance(1)
        for task in rig.tasks:
            name = task.source.split(":")[1]
            fired.setdefault(name, (rig.now - START).total_seconds() - 30)
    own = {name: spread(name, 600).total_seconds() for name in names}
    assert fired == own
    assert len(set(own.values())) == 4
    assert {told[0] for name in names for told in rig.told(name)} == {"run"}, "that is not late"
    assert set(rig.ticks) == {"2026-11-23T09:00Z"}


def test_a_restart_within_the_jitter_loses_no_tick(store: LeaseStore) -> None:
    rig = Rig(store, a=config("a", "0 9 * * *", jitter=Duration(3600)))
    delay = spread("a", 3600)
    assert delay.total_seconds() > 120
    rig.advance(60)
    rig.restart()
    rig.advance(delay.total_seconds())
    assert rig.ticks == ["2026-11-23T09:00Z"]


def test_a_restart_does_not_cost_the_tick_that_falls_into_it(store: LeaseStore) -> None:
    rig = Rig(store, monday="0 9 * * 1")
    rig.now += dt.timedelta(seconds=45)
    rig.restart()
    rig.advance(0.01)
    assert rig.ticks == ["2026-11-23T09:00Z"]


def test_a_new_schedule_owes_nothing_from_before(store: LeaseStore) -> None:
    rig = Rig(store, dt.datetime(2026, 11, 23, 9, 0, 5, tzinfo=dt.UTC), monday="0 9 * * 1")
    rig.advance(1)
    assert rig.tasks == []


@pytest.mark.parametrize(
    "edited", [config("x", "0 8 * * *"), config("x", "0 9 * * *", timezone="Europe/Berlin")]
)
def test_an_edited_schedule_owes_nothing_from_before_its_edit(
    store: LeaseStore, edited: Config
) -> None:
    rig = Rig(store, x="0 9 * * *")
    rig.advance(31)
    rig.now += dt.timedelta(hours=23)  # 8:00 has just passed, in both zones
    rig.now = rig.now.replace(minute=0, second=30)
    rig.configs = {"x": edited}
    rig.restart()
    rig.advance(1)
    assert rig.ticks == ["2026-11-23T09:00Z"]


def test_years_of_downtime_are_counted_no_further_than_needed(
    store: LeaseStore, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(store, minutely="* * * * *")
    begun = time.monotonic()
    rig.down(hours=24 * 3650 + 0.01)
    assert time.monotonic() - begun < 5
    assert "1000 ticks or more merged" in caplog.text
    rig.advance(61)
    assert len(rig.tasks) == 2, "the last one that was missed, and the next"


# -- clocks and sleep


def test_ticks_that_pass_while_the_machine_sleeps_are_merged_into_the_last_one(
    store: LeaseStore, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(store, minutely="* * * * *")
    rig.advance(5 * 60)
    assert rig.ticks == ["2026-11-23T09:04Z"]
    assert (
        "4 ticks merged (2026-11-23T09:00Z to 2026-11-23T09:03Z): into the tick of" in caplog.text
    )


def test_a_clock_that_goes_back_doubles_nothing_and_loses_nothing(store: LeaseStore) -> None:
    rig = Rig(store, minutely="* * * * *")
    for _ in range(6):
        rig.advance(60)
    rig.set_clock(-180)
    for _ in range(8):
        rig.advance(60)
    assert rig.ticks == [f"2026-11-23T09:{minute:02}Z" for minute in range(11)]


def test_a_clock_that_was_years_ahead_does_not_silence_a_schedule(store: LeaseStore) -> None:
    rig = Rig(store, hourly="0 * * * *")
    rig.set_clock(86_400 * 700)
    rig.set_clock(-86_400 * 700)
    rig.advance(31)
    assert "2026-11-23T09:00Z" in rig.ticks
    rig.set_clock(86_400 * 700)
    rig.now -= dt.timedelta(days=700)
    rig.restart()
    for _ in range(61):
        rig.advance(60)
    assert "2026-11-23T10:00Z" in rig.ticks


# -- Redis, crashes, several schedulers


def test_a_tick_that_redis_was_away_for_fires_when_it_is_back(
    store: LeaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(store, monday="0 9 * * 1")

    def away(*_: object) -> None:
        raise redis.ConnectionError("refused")

    monkeypatch.setattr(store, "submit_all", away)
    waits = [rig.advance(6) for _ in range(30)]
    assert all(wait <= 5.0 for wait in waits)
    monkeypatch.undo()
    rig.advance(6)
    assert rig.ticks == ["2026-11-23T09:00Z"]


def test_without_redis_at_the_start_nothing_is_ready(
    store: LeaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "read_cursor", lambda name: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Rig(store, a="* * * * *")


@pytest.mark.parametrize("point", ["due", "submitted"])
def test_a_crash_at_any_point_loses_no_tick_and_doubles_none(store: LeaseStore, point: str) -> None:
    rig = Rig(store, monday="0 9 * * 1")

    def die(passed: str) -> None:
        if passed == point:
            raise Killed

    rig.faults = die
    with pytest.raises(Killed):
        rig.advance(31)
    rig.faults = lambda _: None
    rig.restart()
    rig.advance(1)
    assert rig.ticks == ["2026-11-23T09:00Z"]


def test_three_schedulers_fire_each_tick_once(store: LeaseStore) -> None:
    rigs = [Rig(store, a="* * * * *", b="*/2 * * * *") for _ in range(3)]
    for step in range(600):
        for number, rig in enumerate(rigs):
            rig.now = START + dt.timedelta(seconds=step + 0.3 * number)
            rig.advance(0)
        if step == 300:
            rigs[1].restart()
    ticks = [task.key for task in rigs[0].tasks]
    assert len(ticks) == len(set(ticks))
    assert sum(key.startswith("tick:a:") for key in ticks) == 10
    assert sum(key.startswith("tick:b:") for key in ticks) == 5


@pytest.mark.parametrize("behind", [30.0, 150.0])
def test_schedulers_on_hosts_whose_clocks_differ_fire_each_tick_once(
    store: LeaseStore, behind: float, caplog: pytest.LogCaptureFixture
) -> None:
    skews = (0.0, behind)
    rigs = [Rig(store, START + dt.timedelta(seconds=s), a="* * * * *") for s in skews]
    for step in range(600):
        for rig, skew in zip(rigs, skews, strict=True):
            rig.now, rig.steady = START + dt.timedelta(seconds=step + skew), float(step)
            rig.advance(0)
    ticks = [task.key for task in rigs[0].tasks]
    assert len(ticks) == len(set(ticks))
    wanted = [f"tick:a:2026-11-23T09:{minute:02}Z" for minute in range(13)]
    assert ticks[0] in wanted[:3]  # the fast clock begins at its own time
    assert set(wanted[3:10]) <= set(ticks)
    assert caplog.text.count("skipped") <= 1, "the fast clock may miss ticks when it starts"
    assert "yet to come" not in caplog.text


def test_an_unreadable_cursor_begins_anew_and_says_so(
    store: LeaseStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.client.hset("{test}:cursors", "schedule:a", "{garbage")
    rig = Rig(store, a="* * * * *")
    rig.advance(31)
    assert len(rig.tasks) == 1
    assert "unreadable cursor" in caplog.text


# -- configuration


def test_a_bad_expression_a_bad_template_and_an_unknown_task_are_refused_at_once() -> None:
    made = makers(Path("/base"))
    with pytest.raises(CronError, match="6 fields"):
        from_settings({"a": config("a", "0 0 9 * * 1")}, {}, made)
    with pytest.raises(TemplateError, match=r"schedules\.a\.prompt"):
        from_settings({"a": config("a", "@daily", prompt="{{ file }}")}, {}, made)
    with pytest.raises(UnknownTaskError):
        from_settings({"a": config("a", "@daily", task="nobody")}, {}, made)


# -- Huey's periodic tasks


def test_huey_s_periodic_tasks_fire_with_cron_and_with_crontab(
    huey: BatonHuey, store: LeaseStore
) -> None:
    @huey.periodic_task(CronSpec("0 9 * * 1", "Europe/Berlin"))
    def briefing() -> None: ...

    @huey.periodic_task(crontab(minute="*/5"), overlap="allow")
    def sweep() -> None: ...

    @huey.periodic_task(lambda moment: False)
    def never() -> None: ...

    schedules = from_huey(huey, {"TZ": "UTC"}, makers_for(huey))
    now = dt.datetime(2026, 11, 23, 7, 59, 59, tzinfo=dt.UTC)
    scheduler = Scheduler(
        schedules, store, wall=lambda: now.timestamp(), clock=lambda: now.timestamp()
    )
    scheduler.step()
    for _ in range(11):
        now += dt.timedelta(minutes=1)
        scheduler.step()
    here = __name__
    assert sorted(task.key for task in store.page(State.QUEUED)) == [
        f"tick:{here}.briefing:2026-11-23T08:00Z",
        f"tick:{here}.sweep:2026-11-23T08:00Z",
        f"tick:{here}.sweep:2026-11-23T08:05Z",
        f"tick:{here}.sweep:2026-11-23T08:10Z",
    ]


def test_a_periodic_task_that_names_no_zone_goes_by_the_one_of_the_file(huey: BatonHuey) -> None:
    @huey.periodic_task(CronSpec("0 9 * * *"))
    def ours() -> None: ...

    @huey.periodic_task(CronSpec("0 9 * * *", "Europe/Berlin"))
    def theirs() -> None: ...

    found = {
        s.name.rpartition(".")[2]: s.clock.next(START)
        for s in from_huey(huey, {"TZ": "UTC"}, makers_for(huey), "Asia/Tokyo")
    }
    assert found == {
        "ours": dt.datetime(2026, 11, 24, 0, 0, tzinfo=dt.UTC),
        "theirs": dt.datetime(2026, 11, 24, 8, 0, tzinfo=dt.UTC),
    }


def test_a_periodic_task_says_what_of_its_late_and_overlapping_ticks(huey: BatonHuey) -> None:
    @huey.periodic_task(crontab(), catch_up="all", catch_up_window="2h", overlap="queue")
    def one() -> None: ...

    @huey.periodic_task(crontab())
    def other() -> None: ...

    found = {s.name.rpartition(".")[2]: s.policy for s in from_huey(huey, {}, makers_for(huey))}
    assert found == {"one": Policy("all", dt.timedelta(hours=2), "queue"), "other": Policy()}


@pytest.mark.parametrize(
    ("name", "value"), [("catch_up", "every"), ("overlap", "never"), ("catch_up_window", "soon")]
)
def test_a_periodic_task_with_a_policy_that_there_is_not_is_refused(
    huey: BatonHuey, name: str, value: str
) -> None:
    @huey.periodic_task(crontab(), **{name: value})
    def one() -> None: ...

    with pytest.raises(CronError, match=f"{name}={value!r}"):
        from_huey(huey, {}, makers_for(huey))


def test_a_validator_of_huey_s_that_slept_for_days_fires_once_for_the_last_minute(
    huey: BatonHuey, store: LeaseStore
) -> None:
    @huey.periodic_task(crontab(minute="*"))
    def minutely() -> None: ...

    now = START
    schedules = from_huey(huey, {}, makers_for(huey))
    scheduler = Scheduler(schedules, store, wall=lambda: now.timestamp(), clock=lambda: 0.0)
    scheduler.step()
    now += dt.timedelta(days=3)
    scheduler.step()
    scheduler.step()
    [task] = store.page(State.QUEUED)
    assert task.key == f"tick:{__name__}.minutely:2026-11-26T08:59Z"


def test_a_tick_whose_prompt_cannot_be_made_is_skipped_and_said(
    store: LeaseStore, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(store, a=config("a", "* * * * *", prompt="{{ tick.nothing }}"))
    rig.advance(31)
    rig.advance(1)
    assert rig.tasks == []
    assert caplog.text.count("the tick of 2026-11-23T09:00Z is skipped") == 1


def makers_for(huey: BatonHuey) -> Any:
    """Makers that know the tasks of this Huey."""
    plain = makers(Path("/base"))

    def call(name: str, args: Any, **fields: Any) -> Any:
        assert name in huey._registry._registry
        return plain.task_submission("known", args, **fields)

    return type(plain)(plain.claude_submission, call, plain.base)


# -- the process


@pytest.fixture
def site(short_tmp: Path) -> Iterator[Site]:
    (short_tmp / "my_tasks.py").write_text(
        "from tasks import cron, huey\n"
        "@huey.periodic_task(cron('* * * * *', timezone='UTC'))\n"
        "def tidy():\n"
        "    pass\n"
    )
    config = {
        "schedules": {
            "often": {"cron": "* * * * *", "timezone": "UTC", "prompt": "Tick {{ tick }}"}
        },
        "tasks": ["my_tasks"],
    }
    site = Site(short_tmp, config)
    site.start("redis")
    yield site
    site.close()


def test_ticks_of_yaml_and_of_python_reach_the_queue(site: Site) -> None:
    stood = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=59)
    place = json.dumps({"at": stood.isoformat(), "spec": "* * * * * UTC"})
    names = ("often", "my_tasks.tidy")
    for name in names:  # as if a scheduler had run a moment ago: not to wait for the next minute
        site.store.submit([], Cursor(f"schedule:{name}", "", place))
    site.start("scheduler")
    wait_until(lambda: len(site.store.page(State.QUEUED)) >= 2, what="both have fired")
    sources = {task.source for task in site.store.page(State.QUEUED)}
    assert sources == {f"schedule:{name}" for name in names}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_ends_the_scheduler_within_a_second(site: Site, number: int) -> None:
    process = site.start("scheduler")
    begun = time.monotonic()
    process.send_signal(number)
    assert process.wait(5) == 0
    assert time.monotonic() - begun < 1.0


# -- processes


def test_three_scheduler_processes_fire_each_tick_once_though_one_is_killed(
    short_tmp: Path, tell: Callable[[str], None]
) -> None:
    often = {"every": "1s", "catch_up": "all", "overlap": "allow", "prompt": "{{ tick }}"}
    names = [f"s{number}" for number in range(8)]
    site = Site(short_tmp, {"schedules": dict.fromkeys(names, often)})
    try:
        site.start("redis")
        url, racing = site.settings.redis.url, []
        for number in range(3):  # each as on a machine of its own
            var = str(short_tmp / f"var{number}")
            racing.append(site.launch("scheduler", BATON_VAR=var, REDIS_URL=url))
            site.processes[f"scheduler-{number}"] = site.processes.pop("scheduler")

        def keys() -> list[str]:
            return [task.key for task in site.store.page(State.QUEUED, limit=10_000)]

        wait_until(lambda: len(keys()) >= 20, what="they fire")
        racing[0].kill()
        wanted = len(keys()) + 40
        wait_until(lambda: len(keys()) >= wanted, what="the others fire on")
        found = keys()
    finally:
        site.close()
    assert len(found) == len(set(found))
    for name in names:
        moments = [key.partition(f"tick:{name}:")[2] for key in found]
        ticks = sorted(dt.datetime.fromisoformat(text) for text in moments if text)
        gaps = {(after - before).total_seconds() for before, after in pairwise(ticks)}
        assert gaps == {1.0}, f"{name}: {ticks}"
    tell(f"{len(found)} ticks by three scheduler processes, one killed: lost 0, doubled 0")
