"""What stands in the way of the whole queue: the gate, the budget, problems, queues without a consumer."""

from __future__ import annotations

from collections.abc import Iterator

import settings as types
from alerts.messages import Condition
from durable.costs import Today
from durable.presence import Presences, unserved
from durable.problems import Problem, Problems
from durable.records import GateEntry, closed_for
from durable.remedies import remedy
from durable.store import LeaseStore

_KINDS = {"app": "process", "alerts": "process", "disk": "disk"}
_BUDGETS = ("budget", "token budget")


class Conditions:
    """Asks the queue what stands. Keeps only since when a queue has been without a consumer."""

    def __init__(self, settings: types.Settings, alerts: types.Alerts, store: LeaseStore) -> None:
        self.settings, self.alerts, self.store = settings, alerts, store
        self._problems = Problems(store.client, store.prefix)
        self._presences = Presences(store.client, store.prefix)
        self._unserved: dict[str, int] = {}

    def now(self, now_ms: int) -> list[Condition]:
        """All that is quickly asked. Raises redis.RedisError."""
        after_ms = int(self.alerts.after * 1000)
        problems = self._problems.standing()
        return [
            *(of_gate(entry) for entry in self.store.gate()),
            *(c for problem in problems if (c := of_problem(problem, now_ms, after_ms))),
            *of_budget(self.settings, self.alerts.budget_percent, self.store.today(), now_ms),
        ]

    def unserved(self, now_ms: int) -> list[Condition]:
        """Queues in which tasks wait and from which no consumer takes; weak until it has been for long.

        Raises redis.RedisError.
        """
        found = unserved(self._presences.consumers(), self._presences.waiting(), now_ms)
        self._unserved = {queue: self._unserved.get(queue, now_ms) for queue in found}
        longest_ms = int(self.alerts.waiting * 1000)
        return [
            of_queue(queue, found[queue], since, weak=now_ms - since < longest_ms)
            for queue, since in self._unserved.items()
        ]

    def without_consumers(self, now_ms: int) -> bool:
        """Whether no consumer is at work on any machine. Raises redis.RedisError."""
        return not any(one.is_fresh(now_ms) for one in self._presences.consumers())


def of_gate(entry: GateEntry) -> Condition:
    """One entry of the gate. A budget's is the end of what `budget` warns of."""
    whom, why = closed_for(entry.scope), f": {entry.why}" if entry.why else ""
    return Condition(
        key=f"gate|{entry.scope}|{entry.reason}|{entry.since_ms}",
        kind="budget" if entry.reason in _BUDGETS else "gate",
        subject=f"gate:{entry.reason}",
        text=f"the gate is closed for {whom}, {entry.reason}{why}",
        since_ms=entry.since_ms,
        remedy=remedy(entry),
        over=f"the gate is open again for {whom}",
    )


def of_problem(problem: Problem, now_ms: int, after_ms: int) -> Condition | None:
    """A standing problem; None while it may still pass by itself, and for what news tell of tick by tick.

    A poller has waited before it told.
    """
    part = problem.subject.partition(":")[0]
    if part == "schedule" or (part == "watcher" and now_ms - problem.since_ms < after_ms):
        return None
    kind = _KINDS.get(part, "source")
    return Condition(
        key=f"problem|{problem.subject}|{problem.host}|{problem.since_ms}",
        kind=kind,
        subject=problem.subject,
        text=f"{problem.subject} on {problem.host}: {problem.text}",
        since_ms=problem.since_ms,
        remedy="./baton status",
        over="well again",
        host=problem.host,
        weak=problem.is_stale(now_ms),
    )


def of_budget(
    settings: types.Settings, percent: int, today: Today, since_ms: int
) -> Iterator[Condition]:
    """So much of a day's budget is spent."""
    budgets = (
        ("budget_usd_per_day", settings.budget_usd_per_day, today.usd, "USD"),
        ("budget_tokens_per_day", settings.budget_tokens_per_day, float(today.tokens), "tokens"),
    )
    for name, most, spent, unit in budgets:
        if most and spent * 100 >= most * percent:
            yield Condition(
                key=f"budget|{name}|{percent}",
                kind="budget",
                subject=name,
                text=f"{percent} % of today's budget of {most:g} {unit} is spent",
                since_ms=since_ms,
                remedy="./baton costs",
                over="a new day's budget",
            )


def of_queue(queue: str, waiting: int, since_ms: int, *, weak: bool = False) -> Condition:
    """Tasks wait in it, and no consumer takes from it."""
    tasks = "1 task waits" if waiting == 1 else f"{waiting} tasks wait"
    return Condition(
        key=f"queue|{queue}",
        kind="queue",
        subject=f"queue:{queue}",
        text=f"{tasks} in the queue {queue}, and no consumer on any machine takes from it",
        since_ms=since_ms,
        remedy="./baton status",
        over="a consumer takes from it, or nothing waits in it any more",
        weak=weak,
    )
