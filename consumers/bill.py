"""What an attempt took of each model, from what its stream says. Pure.

A result says it (`modelUsage`, `total_cost_usd`), at list prices whatever pays, a subscription too. Measured:
Claude Code 2.1.197 gives the figures of its own process; 2.1.330 those of the session with all of its processes
that ended by themselves, while `usage` beside it and `--max-budget-usd` are about this process only. So what the
session had cost before is taken away, where it is in there. Without a result the calls that were seen are priced
by the list; a call that was under way when claude was killed is in no stream.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from consumers import pricing
from consumers.stream import Summary, number
from consumers.usage import Call, whole
from durable.costs import Cost

_COUNTS = {
    "input": "inputTokens",
    "output": "outputTokens",
    "cache_write": "cacheCreationInputTokens",
    "cache_read": "cacheReadInputTokens",
}
_IN = ("input", "cache_write", "cache_read")


def of(summary: Summary, before: Summary | None = None) -> list[Cost] | None:
    """What the attempt cost, one row a model; None where a model's price is not known.

    `before` is the latest earlier attempt in the same session that had a result.
    """
    if summary.result is None:
        return _seen(summary.calls.values())
    rows = _said(summary.result)
    if not rows:
        return _total(summary)
    earlier = _said(before.result) if before and before.result else {}
    if earlier and _holds(rows, earlier, summary.calls.values()):
        rows = {name: _less(row, earlier.get(name)) for name, row in rows.items()}
    return [row for row in rows.values() if row.usd > 0 or row.counted or row.cache_read]


def _total(summary: Summary) -> list[Cost]:
    usd = summary.cost_usd
    return [Cost(model=summary.model or "", usd=max(0.0, usd))] if usd else []


def _said(result: Mapping[str, Any]) -> dict[str, Cost]:
    """The rows of `modelUsage`, by the model's name without the size of its context (`[1m]`)."""
    listed = result.get("modelUsage")
    rows: dict[str, Cost] = {}
    for name, used in listed.items() if isinstance(listed, dict) else ():
        if isinstance(used, dict):
            model = name.partition("[")[0]
            row = _row(model, used)
            rows[model] = _sum(rows[model], row) if model in rows else row
    return rows


def _row(model: str, used: Mapping[str, Any]) -> Cost:
    counts = {ours: whole(used.get(theirs)) for ours, theirs in _COUNTS.items()}
    return Cost(model=model, usd=max(0.0, number(used.get("costUSD")) or 0.0), **counts)


def _holds(now: Mapping[str, Cost], earlier: Mapping[str, Cost], seen: Iterable[Call]) -> bool:
    """Whether the figures hold those of the session's earlier processes: they and what was seen here fit in."""
    own = {row.model: row for row in _summed(seen)}
    for name, row in earlier.items():
        here, there = now.get(name, Cost()), own.get(name, Cost())
        if any(getattr(here, k) < getattr(row, k) + getattr(there, k) for k in _IN):
            return False
        if here.output < row.output or here.usd < row.usd - 1e-9:
            return False
    return True


def _seen(calls: Iterable[Call]) -> list[Cost] | None:
    known = list(calls)
    if any(pricing.price(call) is None for call in known):
        return None
    return _summed(known)


def _summed(calls: Iterable[Call]) -> list[Cost]:
    rows: dict[str, Cost] = {}
    for call in calls:
        model = call.model.partition("[")[0]
        row = Cost(
            model=model,
            usd=pricing.price(call) or 0.0,
            input=call.input,
            output=call.came_out,
            cache_write=call.cache_write_5m + call.cache_write_1h,
            cache_read=call.cache_read,
        )
        rows[model] = _sum(rows[model], row) if model in rows else row
    return list(rows.values())


def _sum(one: Cost, other: Cost) -> Cost:
    counts = {name: getattr(one, name) + getattr(other, name) for name in _COUNTS}
    return Cost(model=one.model, usd=one.usd + other.usd, **counts)


def _less(row: Cost, earlier: Cost | None) -> Cost:
    if earlier is None:
        return row
    counts = {name: max(0, getattr(row, name) - getattr(earlier, name)) for name in _COUNTS}
    return Cost(model=row.model, usd=max(0.0, row.usd - earlier.usd), **counts)
