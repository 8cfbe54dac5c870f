"""What the command line says about money: sums, counts of tokens, today beside its limits."""

import datetime as dt
import shutil
from pathlib import Path
from typing import Any

import pytest

from cli import costs
from durable.costs import DayCost, Today
from tests.conftest import ROOT
from tests.unit.test_housekeeper import settings_in

DAY = dt.date(2026, 11, 23)


def row(day: dt.date = DAY, source: str = "cli", model: str = "m", usd: float = 1.0) -> DayCost:
    return DayCost(day=day, source=source, model=model, attempts=1, usd=usd, input=10)


ROWS = [row(usd=2.0), row(model="n"), row(DAY - dt.timedelta(days=1), "watcher:inbox", usd=0.5)]


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("day", [("2026-11-23", 3.0, 2), ("2026-11-22", 0.5, 1)]),
        ("source", [("cli", 3.0, 2), ("watcher:inbox", 0.5, 1)]),
        ("model", [("m", 2.5, 2), ("n", 1.0, 1)]),
    ],
)
def test_costs_are_summed_by_one_thing(by: str, expected: list[tuple[str, float, int]]) -> None:
    found = costs.summed(ROWS, by)
    assert [(total[by], total["usd"], total["attempts"]) for total in found] == expected
    assert sum(total["input"] for total in found) == 30


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (999, "999"), (1_000, "1.0k"), (999_949, "999.9k"), (999_950, "1.0M")],
)
def test_tokens_are_read_at_a_glance(count: int, text: str) -> None:
    assert costs.tokens(count) == text


@pytest.mark.parametrize(
    ("limits", "line"),
    [
        ({}, "Today: $3.00 of $20.00 ($2.00 reserved); 1,234 tokens"),
        (
            {"budget_usd_per_day": None, "budget_tokens_per_day": 5_000},
            "Today: $3.00 ($2.00 reserved); 1,234 of 5,000 tokens",
        ),
    ],
)
def test_today_stands_beside_what_it_may_cost(
    tmp_path: Path, limits: dict[str, Any], line: str
) -> None:
    today = Today(usd=3.0, tokens=1_234, reserved_usd=2.0, reserved_tokens=0)
    assert costs.today_line(settings_in(tmp_path, **limits), today) == line


def test_an_attempt_is_told_by_its_folder(tmp_path: Path) -> None:
    for number, stream in (("1", "sigterm"), ("2", "success"), ("3", "not_logged_in")):
        (tmp_path / number).mkdir()
        source = ROOT / "tests" / "data" / "streams" / f"{stream}.jsonl"
        shutil.copy(source, tmp_path / number / "stream.jsonl")
    found = costs.of_attempts(sorted(tmp_path.iterdir()))
    assert [attempt["models"] for attempt in found] == [
        ["claude-opus-4-8"],
        ["claude-opus-4-8"],
        [],
    ]
    killed, whole, nothing = map(costs.of_attempt, found)
    assert killed.startswith("$0.1")
    assert "$0.1195, 4 in, 5 out, 19.1k written to the cache, 0 read from it" in whole
    assert nothing == ""
