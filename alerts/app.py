"""The app `<instance>-alerts`: looks every few seconds, tells people through their channel and a watchdog outside."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable

import msgspec
import redis

import producers.faults
import settings as types
from alerts.conditions import Conditions
from alerts.delivery import MissingVariableError, Way, Web, address, way_of
from alerts.host import Host
from alerts.messages import Message, payload
from alerts.outage import Outage
from alerts.overdue import Overdue
from alerts.pings import Pinger, SchedulePings
from alerts.sentry import Asked, Sentry
from alerts.times import LOOK_S, PING_S, SLOW_LOOK_S
from durable.alerting import Alerting
from durable.connect import connect
from durable.cronspec import CronError
from durable.identity import host_name, owner
from durable.patience import Patience
from durable.problems import Problems
from durable.store import LeaseStore
from producers.bell import Bell, cancel_last_moment, stop_on_signals

log = logging.getLogger(__name__)

#: The standing problem of a part of the look that fails.
BROKEN = "alerts:look"
#: The most that a ping may take, s.
_PING_TIMEOUT_S = 10.0


class App:
    """The loop around the one who is on watch, this host, and the ping of the whole instance."""

    def __init__(
        self,
        sentry: Sentry,
        host: Host,
        outage: Outage | None,
        pinger: Pinger | None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sentry, self.host, self.outage, self.pinger = sentry, host, outage, pinger
        self._clock = clock
        self._failed = False
        self.redis = Patience("Redis", log, cap_s=LOOK_S)
        self._slow_at = clock()
        self._ping_at = clock() + PING_S  # after a boot, the others begin as this one does

    def step(self) -> float:
        """Look once; seconds until the next look.

        Raises nothing: what stands in Redis stands there after a restart, too.
        """
        slow = self._clock() >= self._slow_at
        if slow:
            self._slow_at = self._clock() + SLOW_LOOK_S
        try:
            ill = self._look(slow=slow)
        except redis.RedisError as error:
            self.sentry.forget()
            self.redis.failed(self._clock(), error)
            if self.outage:
                self.outage.away(str(error))
            ill = [f"Redis does not answer: {error}"]
        except Exception as error:  # noqa: BLE001  # logged with its trace in _mistake
            ill = [self._mistake(error)]
        else:
            self._failed = False
            self.redis.worked()
            if self.outage:
                self.outage.back()
        self._ping(ill)
        return LOOK_S

    def _mistake(self, error: Exception) -> str:
        """Nobody foresaw this: it is said once in the log, and to status and the watchdog as long as it lasts."""
        self.sentry.forget()
        if not self._failed:
            log.error("a look failed; the next ones are made all the same", exc_info=error)
        self._failed = True
        words = f"the alerts app cannot look: {error!r}"
        with contextlib.suppress(redis.RedisError):
            self.host.problems.tell(BROKEN, words)
        return words

    def _look(self, *, slow: bool) -> list[str] | None:
        """Why not all is well, if it is for this host to say now."""
        if slow:
            self.host.look()
        on_watch = self.sentry.look(slow=slow)
        self._tell_broken()
        if not on_watch or self.pinger is None or self._clock() < self._ping_at:
            return None
        return self.sentry.ill(self.sentry.store.now_ms())

    def _tell_broken(self) -> None:
        """Where a part of the look is broken, `status` says so, and the rest of the look sends it."""
        broken = "; ".join(
            f"{part} cannot be looked at: {why}" for part, why in self.sentry.broken.items()
        )
        if broken:
            self.host.problems.tell(BROKEN, f"{broken}")
        else:
            self.host.problems.clear(BROKEN)

    def _ping(self, ill: list[str] | None) -> None:
        if self.pinger is None or ill is None or self._clock() < self._ping_at:
            return
        if self.pinger.ping("fail" if ill else "", "\n".join(ill)):
            self._ping_at = self._clock() + PING_S


def run(settings: types.Settings, name: str, ready: Callable[[], None]) -> int:
    """Run until a signal; the exit status of the process."""
    bell = Bell()
    stop_on_signals(bell)
    try:
        app = app_of(settings, bell)
    except (MissingVariableError, CronError) as error:
        log.error("%s", error)
        return os.EX_CONFIG
    ready()
    while not bell.stopped:
        bell.wait(app.step())
    try:
        app.sentry.leave()
    except redis.RedisError:  # another host waits a little longer for it
        log.info("Redis is away: another host is on watch in half a minute")
    cancel_last_moment()
    return os.EX_OK


def app_of(settings: types.Settings, bell: Bell) -> App:
    """All parts put together. Raises MissingVariableError and CronError."""
    # One try each: a look that fails is made again in three seconds, and what is away is to be known soon.
    client = connect(settings.redis.url, retries=0)
    prefix = f"{{{settings.instance}}}:"
    store = LeaseStore(client, prefix)
    own_name = f"{settings.instance}-alerts"
    way = way_of(settings, lambda: bell.stopped)
    alerts = settings.alerts or types.Alerts()
    asked = Asked(
        store=store,
        alerting=Alerting(client, prefix),
        conditions=Conditions(settings, alerts, store),
        overdue=Overdue(settings, store),
        pings=SchedulePings(_pingers(settings), store),
        way=way,
    )
    fault = settings.environ.get("BATON_FAULT", "")
    faults = producers.faults.from_text(fault, "alerts", settings.var)
    sentry = Sentry(settings, asked, owner(settings.var, own_name), faults=faults)
    host = Host(settings, Problems(client, prefix, app=own_name, host=settings.host))
    ping_url = settings.ping_url and address(settings.ping_url, settings.environ)
    pinger = Pinger(ping_url, Web(_PING_TIMEOUT_S), "ping_url") if ping_url else None
    return App(sentry, host, _outage(settings, alerts, way), pinger)


def _outage(settings: types.Settings, alerts: types.Alerts, way: Way | None) -> Outage | None:
    if way is None or "redis" not in alerts.on:
        return None
    chosen = way

    def send(message: Message) -> None:
        now_ms = int(time.time() * 1000)
        chosen.send(msgspec.json.encode(payload(message, settings.instance, now_ms)))

    return Outage(settings.var / "alerts" / "redis.json", host_name(), send)


def _pingers(settings: types.Settings) -> dict[str, Pinger]:
    """Raises MissingVariableError."""
    web = Web(_PING_TIMEOUT_S)
    urls = {name: entry.ping_url for name, entry in settings.schedules.items() if entry.ping_url}
    return {
        name: Pinger(address(url, settings.environ), web, f"ping_url of {name}")
        for name, url in urls.items()
    }
