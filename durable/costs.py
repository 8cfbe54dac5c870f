"""What attempts cost: the rows that are booked, the tables that are read, how they travel. Holds no connection.

The scripts in scripts/lib/costs.lua book them; which figures come from where is the consumers' part.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping

import msgspec

#: How long the tables of the days are kept, days.
KEEP_DAYS = 400
_EPOCH = dt.date(1970, 1, 1)
_WHAT = ("attempts", "input", "output", "cache_write", "cache_read")


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What one model took in one attempt. Tokens as the API bills them; `model` "" where nobody knows it."""

    model: str = ""
    usd: float = 0.0
    input: int = 0  # neither written to the cache nor read from it
    output: int = 0
    cache_write: int = 0
    cache_read: int = 0

    @property
    def counted(self) -> int:
        """The tokens that count for a day's budget: all but what was read from the cache."""
        return self.input + self.output + self.cache_write


class DayCost(msgspec.Struct, frozen=True, kw_only=True):
    """What the attempts of one source took of one model on one day of the user's time zone."""

    day: dt.date
    source: str
    model: str
    attempts: int = 0  # that cost something; one that used two models counts in both
    usd: float = 0.0
    input: int = 0
    output: int = 0
    cache_write: int = 0
    cache_read: int = 0


class Today(msgspec.Struct, frozen=True, kw_only=True):
    """The present day of the budgets."""

    usd: float
    tokens: int  # that count for the budget
    reserved_usd: float
    reserved_tokens: int


class Unpriced(msgspec.Struct, frozen=True):
    """A run whose end nobody saw: what was charged for it stands until it is priced."""

    id: str
    attempt: int
    owner: str


def total_usd(costs: Iterable[Cost]) -> float:
    """What an attempt cost."""
    return sum(cost.usd for cost in costs)


def written(costs: Iterable[Cost]) -> str:
    """As the scripts read it; a model's name is foreign text, so what would break a line or a field is taken out."""
    return "\n".join(
        f"{re.sub(r'[^!-{}~]', '_', cost.model)[:100]} {cost.usd:.9f} "
        f"{cost.input} {cost.output} {cost.cache_write} {cost.cache_read}"
        for cost in costs
    )


def day_of(number: int) -> dt.date:
    """A day from its number since 1970."""
    return _EPOCH + dt.timedelta(days=number)


def day_costs(day: int, table: Mapping[bytes, bytes]) -> list[DayCost]:
    """The rows of a day's table, whose fields are `what|model|source`; those that came to nothing are left out."""
    rows: dict[tuple[str, str], dict[str, float]] = {}
    for field, value in table.items():
        what, model, source = field.decode("utf-8", "replace").split("|", 2)
        rows.setdefault((source, model), {})[what] = float(value)
    found = [_row(day_of(day), *place, amounts) for place, amounts in sorted(rows.items())]
    return [row for row in found if row.attempts or round(row.usd, 6)]


def _row(day: dt.date, source: str, model: str, amounts: Mapping[str, float]) -> DayCost:
    whole = {what: int(amounts.get(what, 0)) for what in _WHAT}
    return DayCost(day=day, source=source, model=model, usd=amounts.get("usd", 0.0), **whole)


def unpriced(entries: Mapping[bytes, bytes]) -> list[Unpriced]:
    """What `unpriced` holds: `id|attempt` -> day, USD, tokens, owner."""
    found = []
    for place, charge in entries.items():
        task_id, _, attempt = place.decode("utf-8", "replace").rpartition("|")
        owner = charge.decode("utf-8", "replace").split(" ", 3)[3]
        found.append(Unpriced(task_id, int(attempt), owner))
    return found
