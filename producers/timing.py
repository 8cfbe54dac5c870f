"""When a schedule of baton.yaml fires: its clockwork, its policy, its jitter. Loads no template."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import settings as types
from durable.cronspec import CronSpec
from producers.catching_up import Policy
from producers.clockworks import Clockwork, CronClock, IntervalClock
from producers.cron import Cron
from settings.zones import zone

_USUAL = Policy()
_NO_TIME = dt.timedelta(0)


@dataclass(frozen=True)
class Timing:
    """When a schedule fires: its clockwork, what of late ticks, and how much later than nominal (jitter)."""

    clock: Clockwork
    policy: Policy = _USUAL
    delay: dt.timedelta = _NO_TIME

    def next(self, now: dt.datetime) -> dt.datetime:
        """When it fires next."""
        return self.clock.next(now - self.delay) + self.delay


def timing_of(entry: types.Schedule, environ: Mapping[str, str]) -> Timing:
    """When an entry of baton.yaml fires. Raises CronError."""
    policy = Policy(entry.catch_up, dt.timedelta(seconds=entry.catch_up_window), entry.overlap)
    delay = spread(entry.name, entry.jitter)
    if entry.every is not None:
        return Timing(IntervalClock(entry.every), policy, delay)
    spec = CronSpec(entry.cron or "", entry.timezone)
    return Timing(CronClock(Cron(spec, zone(entry.timezone, environ))), policy, delay)


def spread(name: str, jitter_s: float) -> dt.timedelta:
    """The schedule's own part of its jitter: the same at every tick and start, in whole seconds."""
    digest = hashlib.sha256(name.encode()).digest()
    part = int.from_bytes(digest[:8], "big") / 2**64
    return dt.timedelta(seconds=int(part * jitter_s))
