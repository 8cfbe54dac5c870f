"""The budgets of Claude tasks: what a claim is told, the gate that closes when a day's is spent, what is left."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING

import msgspec

from consumers import closing
from durable.records import Budget
from durable.store import LeaseStore
from durable.verdicts import Fail
from settings.zones import zone

if TYPE_CHECKING:
    from settings import ClaudeOptions, Settings


class Budgets:
    """What the settings allow a day of the user's time zone."""

    def __init__(self, settings: Settings) -> None:
        self.zone = zone(settings.timezone, settings.environ)
        self._limits = Budget(
            settings.budget_usd_per_day,
            settings.claude.max_budget_usd,
            settings.budget_tokens_per_day,
        )

    def now(self) -> Budget:
        """What claims go by, with the zone's present offset from UTC."""
        return msgspec.structs.replace(self._limits, offset_ms=offset_ms(self.zone, time.time()))

    def close_gate(self, store: LeaseStore, reason: str, task_id: str) -> None:
        """For all Claude tasks, until midnight by the server's clock; `reason` is what a claim was kept back by.

        `task_id` is the task that did not fit: when it is cancelled or put aside, the gate opens.

        Raises redis.RedisError.
        """
        until_ms = midnight_ms(self.zone, store.now_ms())
        today = store.today()
        if reason == "budget":
            spent = f"{today.usd:.2f} of {self._limits.daily_usd or 0:.2f} USD are spent today"
            least = "may cost (max_budget_usd)"
        else:
            spent = f"{today.tokens:,} of {self._limits.daily_tokens or 0:,} tokens are used today"
            least = "is expected to take (the average of late)"
        why = (
            f"{spent} ({self.zone}), and what is left is less than the next task, {task_id[:12]}, {least}; "
            "it opens at midnight there, or when that task is cancelled or put aside."
        )
        closing.close(store, "claude", reason, by=task_id, why=why, until_ms=until_ms)

    def reopen_gate(self, store: LeaseStore) -> list[str]:
        """Open what was closed for a budget that has been raised meanwhile; the reasons. Raises redis.RedisError."""
        closed = {entry.reason for entry in store.gate() if entry.scope == "claude"}
        raised = sorted(closed & {"budget", "token budget"} - self._spent(store))
        for reason in raised:
            store.open_gate(reason)
        return raised

    def _spent(self, store: LeaseStore) -> set[str]:
        """The budgets of which less is left than a task reserves."""
        today, limits = store.today(), self._limits
        usd = today.usd + today.reserved_usd + (limits.each_usd or 0)
        spent = {"budget"} if limits.daily_usd is not None and usd > limits.daily_usd else set()
        tokens = today.tokens + today.reserved_tokens
        if limits.daily_tokens is not None and tokens >= limits.daily_tokens:
            spent.add("token budget")
        return spent


def offset_ms(zone: dt.tzinfo, at: float) -> int:
    """By how much the zone is ahead of UTC at a moment (Unix seconds)."""
    offset = dt.datetime.fromtimestamp(at, zone).utcoffset() or dt.timedelta()
    return offset // dt.timedelta(milliseconds=1)


def midnight_ms(zone: dt.tzinfo, now_ms: int) -> int:
    """When the next day of the zone begins, also where clocks change before or at midnight."""
    today = dt.datetime.fromtimestamp(now_ms / 1000, zone).date()
    begins = dt.datetime.combine(today + dt.timedelta(days=1), dt.time(), zone)
    return int(begins.timestamp() * 1000)


def with_what_is_left(options: ClaudeOptions, spent_usd: float) -> ClaudeOptions:
    """The options of the next attempt of a task that has cost so much. Raises Fail when nothing is left."""
    most = options.max_budget_usd
    if most is None or spent_usd <= 0:
        return options
    left = round(most - spent_usd, 6)
    if left <= 0:
        raise Fail(
            "max_budget",
            f"its attempts have cost {spent_usd:.2f} USD, and max_budget_usd is {most:.2f}",
            "raise `max_budget_usd`; ./baton retry ID --resume goes on with a full budget",
        )
    return msgspec.structs.replace(options, max_budget_usd=left)
