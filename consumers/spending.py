"""The day's budget for Claude tasks: what a claim is told of it, and the gate that closes when it is spent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumers import closing
from consumers.stream import Summary
from durable.records import Budget
from durable.store import LeaseStore

if TYPE_CHECKING:
    from settings import Settings

_DAY_MS = 86_400_000


def budget_of(settings: Settings) -> Budget | None:
    """What claims go by; None without a limit for the day."""
    if settings.budget_usd_per_day is None:
        return None
    return Budget(settings.budget_usd_per_day, settings.claude.max_budget_usd)


def close_gate(store: LeaseStore, budget: Budget) -> None:
    """For all Claude tasks, until midnight UTC by the server's clock. Raises redis.RedisError."""
    midnight_ms = (store.now_ms() // _DAY_MS + 1) * _DAY_MS
    why = (
        f"{store.spent_today_usd():.2f} of {budget.daily_usd:.2f} USD are spent today (UTC), and what is left "
        "is less than the next task may cost (max_budget_usd); it opens at midnight UTC. Raise "
        "budget_usd_per_day in baton.yaml and run ./baton up, then ./baton unpause budget"
    )
    closing.close(store, "claude", "budget", by="consumer", why=why, until_ms=midnight_ms)


def price(summary: Summary, most_usd: float | None) -> float:
    """What a run cost: as its result says; without one (it was killed) the most that it may have cost.

    A run that had no answer from the API cost nothing.
    """
    if summary.cost_usd is not None:
        return summary.cost_usd
    return (most_usd or 0.0) if summary.alive else 0.0
