"""What Claude tasks cost: the verb costs, and the lines about money of show and status."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import queue
from cli.terminal import print_json, table

if TYPE_CHECKING:
    from durable.costs import DayCost, Today
    from durable.records import Record
    from settings import Settings

BY = ("day", "source", "model")
_COUNTS = ("input", "output", "cache_write", "cache_read")


def costs(args: argparse.Namespace) -> int:
    """Print what attempts cost on the last days, summed by one thing or row by row."""
    rows = queue.views().costs(args.days)
    if args.json:
        found = [facts(row) for row in rows] if args.by is None else summed(rows, args.by)
        print_json(found)
    elif rows:
        print(_table(summed(rows, args.by or "day"), args.by or "day"))
    else:
        print(f"No attempt has cost anything in the last {args.days} days.")
    return 0


def facts(row: DayCost) -> dict[str, Any]:
    """Return a row for `--json`."""
    return {name: getattr(row, name) for name in row.__struct_fields__}


def summed(rows: Iterable[DayCost], by: str) -> list[dict[str, Any]]:
    """Return the sums over what is the same in `by`: days newest first, others dearest first."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        name = str(getattr(row, by))
        total = found.setdefault(
            name, {by: name, "usd": 0.0, "attempts": 0} | dict.fromkeys(_COUNTS, 0)
        )
        for what in ("usd", "attempts", *_COUNTS):
            total[what] += getattr(row, what)
    order = (lambda total: total["day"]) if by == "day" else (lambda total: total["usd"])
    return sorted(found.values(), key=order, reverse=True)


def _table(totals: Sequence[dict[str, Any]], by: str) -> str:
    heads = (by.upper(), "COST", "ATTEMPTS", "INPUT", "OUTPUT", "CACHE WRITES", "CACHE READS")
    return table(
        heads,
        (
            (
                total[by] or "-",
                f"${total['usd']:.2f}",
                str(total["attempts"]),
                *(tokens(total[what]) for what in _COUNTS),
            )
            for total in totals
        ),
    )


def tokens(count: int) -> str:
    """Return a count of tokens in three digits or so: 950, 12.3k, 4.5M."""
    if count < 1_000:
        return str(count)
    return f"{count / 1e3:.1f}k" if count < 999_950 else f"{count / 1e6:.1f}M"


def of_record(record: Record) -> Iterator[tuple[str, str]]:
    """Return what a task has cost in all its attempts, as lines of `show`."""
    if record.cost_usd:
        yield "cost", f"${record.cost_usd:.4f}"
    counts = [getattr(record, f"{what}_tokens") for what in _COUNTS]
    if any(counts):
        yield "tokens", _tokens(counts)


def of_attempts(folders: Iterable[Path]) -> list[dict[str, Any]]:
    """Return what each attempt cost, by its folder: of a live one so far."""
    from consumers.booking import costs_of
    from durable.costs import total_usd

    found = []
    for folder in folders:
        rows = costs_of(folder)
        counts = {what: sum(getattr(row, what) for row in rows) for what in _COUNTS}
        models = [row.model for row in rows]
        found.append({"folder": str(folder), "usd": total_usd(rows), "models": models, **counts})
    return found


def of_attempt(attempt: dict[str, Any]) -> str:
    """Return one of those as a line of `show`; "" when nothing is known of its cost."""
    if not attempt["models"]:
        return ""
    counts = _tokens([attempt[what] for what in _COUNTS])
    return f"${attempt['usd']:.4f}, {counts}"


def _tokens(counts: Sequence[int]) -> str:
    read, out, written, cached = map(tokens, counts)
    return f"{read} in, {out} out, {written} written to the cache, {cached} read from it"


def today_line(settings: Settings, today: Today) -> str:
    """Return what today has cost beside what it may, as a line of `status`."""
    usd = _against(today.usd, settings.budget_usd_per_day, today.reserved_usd, "${:,.2f}")
    used = _against(today.tokens, settings.budget_tokens_per_day, today.reserved_tokens, "{:,.0f}")
    return f"Today: {usd}; {used} tokens"


def _against(spent: float, limit: float | None, reserved: float, form: str) -> str:
    of = f" of {form.format(limit)}" if limit is not None else ""
    held = f" ({form.format(reserved)} reserved)" if reserved else ""
    return f"{form.format(spent)}{of}{held}"


def today_facts(settings: Settings, today: Today) -> dict[str, Any]:
    """Return the same for `--json`."""
    shown = {name: getattr(today, name) for name in today.__struct_fields__}
    limits = ("budget_usd_per_day", "budget_tokens_per_day")
    return shown | {name: getattr(settings, name) for name in limits}
