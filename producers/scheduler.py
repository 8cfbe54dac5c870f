"""The process that fires schedules: those of baton.yaml and Huey's periodic tasks, each tick once.

Every schedule has a durable cursor, and the ticks that it fires are part of the same submit, so any number
of schedulers may run. It owes every tick since that cursor; what becomes of each, catching_up decides, and
the journal keeps.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence

import redis

import producers.faults
import settings as types
from durable.cronspec import CronError
from durable.errors import BatonError, CursorMovedError
from durable.patience import Patience
from durable.problems import Problems
from durable.records import Cursor, Submitted
from durable.store import LeaseStore
from producers.bell import Bell, cancel_last_moment, stop_on_signals
from producers.faults import Faults
from producers.recipe import Makers
from producers.schedule_trouble import Lateness
from producers.schedules import Schedule, from_huey, from_settings
from producers.templates import TemplateError
from producers.ticks import Place, PlaceError, iso, read_place
from producers.turns import planned

log = logging.getLogger(__name__)

LOOK_S = 1.0  # the longest sleep: a clock that is set, or a suspend, is noticed after it
LATE_S = 1.0  # a tick is said to be late after this
#: Clocks of two hosts may differ by this much. A place further ahead comes from a wrong clock and
#: is not believed: firing a tick again is a no-op by its key, never firing it would be a loss.
SKEW = dt.timedelta(seconds=60)


#: Schedules that fire in one trip to the server: one script must not hold it up for long.
AT_ONCE = 50


class Scheduler:
    """The state of the scheduler. `step` fires what is due and says when to come again."""

    def __init__(
        self,
        schedules: Iterable[Schedule],
        store: LeaseStore,
        *,
        app: str = "",
        host: str = "",
        bell: Bell | None = None,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        faults: Faults = producers.faults.none,
    ) -> None:
        self.schedules = list(schedules)
        self.store, self.wall, self.clock, self._fault = store, wall, clock, faults
        self.bell = bell or Bell()
        self.redis = Patience("Redis", log)
        self.lateness = Lateness(Problems(store.client, store.prefix, app=app, host=host))
        self._ahead_s = self.wall() - self.clock()  # of the steady clock; falls when set back

    def run(self, ready: Callable[[], None]) -> None:
        """Step until the bell is stopped; `ready` is called once every schedule knows its place."""
        said = False
        while not self.bell.stopped:
            wait_s = self.step()
            if not said and all(schedule.place for schedule in self.schedules):
                said = True
                ready()
            self.bell.wait(wait_s)

    def step(self) -> float:
        """Fire what is due; seconds until something may be due again."""
        if self.redis.waiting(self.clock()):
            return self.redis.until - self.clock()
        now = self._now()
        self._notice_set_back(now)
        try:
            self._turn(now)
            self.lateness.tell({schedule.source for schedule in self.schedules})
        except redis.RedisError as error:
            return self.redis.failed(self.clock(), error)
        self.redis.worked()
        dues = [schedule.due for schedule in self.schedules]
        left = (min(dues) - self._now()).total_seconds() if dues else LOOK_S
        return min(LOOK_S, max(0.0, left))

    def _now(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self.wall(), dt.UTC)

    def _turn(self, now: dt.datetime) -> None:
        for schedule in self.schedules:
            if schedule.place is None and not self.bell.stopped:
                self._begin(schedule, now)
        due = [one for one in self.schedules if one.place is not None and now >= one.due]
        for first in range(0, len(due), AT_ONCE):
            if not self.bell.stopped:
                self._fire(due[first : first + AT_ONCE], now)

    def _notice_set_back(self, now: dt.datetime) -> None:
        """A clock that was set back comes past its ticks again; those that have fired are no-ops."""
        ahead_s, before_s = self.wall() - self.clock(), self._ahead_s
        self._ahead_s = ahead_s
        if ahead_s < before_s - SKEW.total_seconds():
            log.warning("the clock was set back by %.0f s, to %s", before_s - ahead_s, iso(now))
            for schedule in self.schedules:
                if schedule.place:
                    at = now - schedule.delay
                    schedule.stand(schedule.text, Place(at, schedule.clock.text))

    # -- the start

    def _begin(self, schedule: Schedule, now: dt.datetime) -> None:
        """Find the place of a schedule; a new one owes nothing from before."""
        text = self.store.read_cursor(schedule.cursor)
        schedule.text = text
        place = self._known_place(schedule, text)
        if place is None:
            self._settle_at(schedule, now - schedule.delay)
            return
        if place.at > now + SKEW:
            log.warning("%s: last seen at %s, which is yet to come", schedule.name, iso(place.at))
            place = Place(now - schedule.delay, place.spec)
        schedule.stand(text, place)

    def _known_place(self, schedule: Schedule, text: str) -> Place | None:
        """Where it stood; None for a new schedule and for one that was edited."""
        if not text:
            return None
        try:
            place = read_place(text)
        except PlaceError as error:
            log.error("%s: %s; it begins anew", schedule.name, error)
            return None
        if place.spec != schedule.clock.text:
            log.info("%s: edited; nothing is owed from before", schedule.name)
            return None
        return place

    # -- ticks

    def _fire(self, due: Sequence[Schedule], now: dt.datetime) -> None:
        """The ticks of several schedules in one trip: a thousand of one minute are a second of trips."""
        turns = [turn for schedule in due if (turn := planned(schedule, now))]
        if not turns:
            return
        self._fault("due")
        answers = self.store.submit_all([turn.step for turn in turns])
        for turn, answer in zip(turns, answers, strict=True):
            if isinstance(answer, CursorMovedError):
                self._join(turn.schedule, answer.actual)
                continue
            self._fault("submitted")
            nominal = now - turn.schedule.delay
            turn.schedule.stand(turn.text, turn.place)
            self.lateness.note(turn.schedule.source, turn.found, nominal)
            for tick, task in zip(turn.ticks, answer, strict=True):
                self._say(turn.schedule, tick, nominal, task)

    def _say(
        self, schedule: Schedule, tick: dt.datetime, nominal: dt.datetime, task: Submitted
    ) -> None:
        name, when = schedule.name, iso(tick)
        if task.kept_out:
            log.warning("%s: the tick of %s is skipped: task %s is not done", name, when, task.id)
        elif task.new:
            late_s = (nominal - tick).total_seconds()
            late = f", {late_s:.1f} s late" if late_s > LATE_S else ""
            log.info("%s: fired for %s%s", name, when, late)

    def _settle_at(self, schedule: Schedule, at: dt.datetime) -> None:
        """Owe nothing from before, or learn where another scheduler stands."""
        place = Place(at.replace(microsecond=0), schedule.clock.text)
        text = place.text()
        try:
            self.store.submit([], Cursor(schedule.cursor, schedule.text, text))
        except CursorMovedError as error:
            self._join(schedule, error.actual)
            return
        self._fault("submitted")
        schedule.stand(text, place)

    def _join(self, schedule: Schedule, text: str) -> None:
        """Go on from where another scheduler has come to, if that is further."""
        own, theirs = schedule.place, self._known_place(schedule, text)
        if own is None or theirs is None:
            schedule.place, schedule.due = None, self._now()  # begins at the next turn
            return
        further = own.at < theirs.at <= self._now() + SKEW
        schedule.stand(text, theirs if further else own)


def run(settings: types.Settings, name: str, ready: Callable[[], None]) -> int:
    """Run the scheduler until a signal; the exit status of the process."""
    import tasks

    bell = Bell()
    stop_on_signals(bell)
    makers = Makers(tasks.claude_submission, tasks.task_submission, settings.base)
    try:
        tasks.load_user_tasks()
        schedules = from_settings(settings.schedules, settings.environ, makers)
        schedules += from_huey(tasks.huey, settings.environ, makers, settings.timezone)
    except (CronError, TemplateError, BatonError) as error:
        log.error("%s", error)
        return os.EX_CONFIG
    fault = settings.environ.get("BATON_FAULT", "")
    faults = producers.faults.from_text(fault, "scheduler", settings.var)
    app = f"{settings.instance}-scheduler"
    scheduler = Scheduler(
        *(schedules, tasks.huey.store),
        app=app,
        host=settings.host,
        bell=bell,
        faults=faults,
    )
    scheduler.run(ready)
    cancel_last_moment()
    return 0
