"""The year 2027 of twenty schedules in six zones, with sleeps, restarts and clocks that are set.

What became of every tick is compared with a list that cronsim makes, tick by tick.
"""

from __future__ import annotations

import datetime as dt
import random
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import redis
from cronsim import CronSim

from durable.errors import CursorMovedError
from durable.records import Step, Submitted
from durable.store import LeaseStore
from producers.scheduler import Scheduler
from producers.schedules import from_settings
from producers.ticks import iso
from settings import Schedule as Config
from tests.makers import makers

UTC = dt.UTC
BEGIN, END = dt.datetime(2027, 1, 1, tzinfo=UTC), dt.datetime(2028, 1, 1, tzinfo=UTC)
SECOND, WINDOW = dt.timedelta(seconds=1), dt.timedelta(days=1)
#: Where a clock moves by half an hour (Lord Howe) cronsim errs; test_cron.py has that by brute force.
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "America/St_Johns",
    "Pacific/Apia",
)
EXPRESSIONS = (
    "0 9 * * 1", "30 2 * * *", "0 0 1 * *", "15 8 * * mon-fri", "0 */6 * * *", "59 23 31 * *",
    "0 12 13 * 5", "45 1 * * 0", "5 4 * * sun", "0 22 * * 1-5", "30 1 * 3,10,11 *", "0 3 1,15 * *",
    "10 10 10 10 *", "20 */8 * * *", "0 7 * * 2", "0 0 29 2 *", "0 18 * * 6,7", "2 2 */2 * *",
    "0 5 * 4-9 *", "50 23 * * *",
)  # fmt: skip


class Told(LeaseStore):
    """A queue that remembers what every schedule was told to become of its ticks."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__(client, "{year}:")
        self.fates: dict[str, list[tuple[str, str, str]]] = {}  # schedule -> what, first, last
        self.twice: list[str] = []
        self._in: set[str] = set()

    def submit_all(self, steps: Sequence[Step]) -> list[list[Submitted] | CursorMovedError]:
        answers = super().submit_all(steps)
        for step, answer in zip(steps, answers, strict=True):
            if not isinstance(answer, CursorMovedError):
                self._note(step, answer)
        return answers

    def _note(self, step: Step, done: list[Submitted]) -> None:
        for task, submitted in zip(step.batch, done, strict=True):
            if submitted.new and task.key in self._in:
                self.twice.append(task.key)
            self._in.add(task.key)
        for entry in step.entries:
            if entry.place == 0 or done[entry.place - 1].new:
                row = entry.what, entry.about, entry.until or entry.about
                self.fates.setdefault(entry.journal, []).append(row)


class Year:
    """A scheduler whose clock a test moves; it looks whenever something is due, as it would."""

    def __init__(self, store: Told, configs: dict[str, Config]) -> None:
        self.store, self.configs = store, configs
        self.now, self.error, self.steady = BEGIN, dt.timedelta(0), 0.0
        self.restart()

    def restart(self) -> None:
        self.scheduler = Scheduler(
            from_settings(self.configs, {}, makers(Path("/base"))),
            self.store,
            wall=lambda: (self.now + self.error).timestamp(),
            clock=lambda: self.steady,
        )
        self.look()

    def look(self) -> None:
        self.scheduler.step()  # one to find its place or to fire, one to see that nothing is left
        self.scheduler.step()

    def awake_until(self, end: dt.datetime) -> None:
        """It looks at least once a second; here, only when it would find something."""
        while self.now < end:
            due = min(schedule.due for schedule in self.scheduler.schedules) - self.error
            moved = max(SECOND, min(due, end) - self.now)
            self.now, self.steady = self.now + moved, self.steady + moved.total_seconds()
            self.look()

    def gone_until(self, end: dt.datetime, *, asleep: bool) -> None:
        """No scheduler looks: the machine sleeps, or the process is down."""
        self.steady += 0.0 if asleep else (end - self.now).total_seconds()
        self.now = end
        if asleep:
            self.look()
        else:
            self.restart()


def configs() -> dict[str, Config]:
    found = {}
    for number, expression in enumerate(EXPRESSIONS):
        name, zone = f"s{number}", ZONES[number % len(ZONES)]
        entry = Config(name=name, cron=expression, timezone=zone, prompt="x", overlap="allow")
        found[name] = entry
    return found


def nominal(entry: Config) -> list[dt.datetime]:
    """Every tick of the year, by cronsim."""
    zone = ZoneInfo(entry.timezone or "UTC")
    found = []
    for tick in CronSim(entry.cron or "", BEGIN.astimezone(zone)):
        if tick.astimezone(UTC) >= END:
            break
        found.append(tick.astimezone(UTC))
    return found


def gaps(chance: random.Random) -> list[tuple[dt.datetime, dt.datetime, bool]]:
    """A hundred times when nothing looks, minutes to days long, a week apart at most."""
    edges = sorted(chance.sample(range(1, 365 * 96), 200))
    at = [BEGIN + dt.timedelta(minutes=15 * edge, seconds=7) for edge in edges]
    return [(at[i], at[i + 1], chance.random() < 0.5) for i in range(0, 200, 2)]


def expected(
    ticks: list[dt.datetime], away: list[tuple[dt.datetime, dt.datetime, bool]]
) -> dict[dt.datetime, str]:
    fates = dict.fromkeys(ticks, "run")
    for begin, end, _ in away:
        missed = ticks[bisect_right(ticks, begin) : bisect_right(ticks, end)]
        if not missed:
            continue
        late = end - missed[-1]
        for tick in missed:
            fates[tick] = "merged" if late <= WINDOW else "skipped"
        if late <= WINDOW:
            fates[missed[-1]] = "late" if late > dt.timedelta(seconds=60) else "run"
    return fates


def found_fates(
    ticks: list[dt.datetime], rows: list[tuple[str, str, str]]
) -> dict[dt.datetime, Any]:
    fates: dict[dt.datetime, Any] = {}
    for what, first, last in rows:
        low, high = (dt.datetime.fromisoformat(text) for text in (first, last))
        span = ticks[bisect_left(ticks, low) : bisect_right(ticks, high)]
        assert span, f"{what} {first} is no tick"
        for tick in span:
            fates[tick] = what if tick not in fates else f"{fates[tick]} and {what}"
    return fates


def test_every_tick_of_a_year_becomes_what_the_calendar_and_the_policy_say(
    client: redis.Redis, tell: Callable[[str], None]
) -> None:
    chance = random.Random(2027)
    entries, away, store = configs(), gaps(chance), Told(client)
    year = Year(store, entries)
    for begin, end, asleep in away:
        year.awake_until(begin)
        year.gone_until(end, asleep=asleep)
    year.awake_until(END - SECOND)
    assert store.twice == []
    total = 0
    for name, entry in entries.items():
        ticks = nominal(entry)
        found = found_fates(ticks, store.fates.get(f"schedule:{name}", []))
        wanted = expected(ticks, away)
        total += len(ticks)
        wrong = [(iso(t), wanted[t], found.get(t)) for t in ticks if wanted[t] != found.get(t)]
        assert not wrong, f"{entry.cron} in {entry.timezone}: {wrong[:5]}"
    tell(f"{total} ticks of 20 schedules, {len(away)} gaps: each as it should be")


def test_a_clock_that_is_set_now_and_then_neither_loses_nor_doubles_a_tick(
    client: redis.Redis,
) -> None:
    chance = random.Random(7)
    entries, store = configs(), Told(client)
    year = Year(store, entries)
    steps = sorted(chance.sample(range(1, 365 * 24), 60))
    for hour, after in pairwise([*steps, 365 * 24]):
        year.awake_until(BEGIN + dt.timedelta(hours=hour, minutes=7))
        wrong = dt.timedelta(minutes=chance.choice([-20, -9, 9, 20]))
        year.error += wrong  # a clock is set, and before long set right again
        year.look()
        year.awake_until(
            min(year.now + dt.timedelta(minutes=30), BEGIN + dt.timedelta(hours=after))
        )
        year.error -= wrong
        year.look()
    year.awake_until(END - SECOND)
    assert store.twice == []
    for name, entry in entries.items():
        ticks = nominal(entry)
        found = found_fates(ticks, store.fates.get(f"schedule:{name}", []))
        missing = [iso(t) for t in ticks if found.get(t) not in ("run", "late")]
        assert not missing, f"{entry.cron} in {entry.timezone}: {missing[:5]}"
