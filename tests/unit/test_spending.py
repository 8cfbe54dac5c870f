"""Budgets as consumers see them: the zone's day, also when clocks change, what is left of a task's, who prices what."""

import datetime as dt
import json
import shutil
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from consumers import booking, leftovers, spending
from durable.costs import Cost
from durable.records import Budget, Holding, Lease, State
from durable.store import LeaseStore
from durable.verdicts import Fail
from settings import ClaudeOptions
from tests.conftest import ROOT
from tests.unit.leasing import claim, expire, nothing, state, sub
from tests.unit.test_housekeeper import settings_in

STREAMS = ROOT / "tests" / "data" / "streams"
BERLIN, UTC = ZoneInfo("Europe/Berlin"), dt.UTC
HOUR_MS = 3_600_000


def ms(text: str, zone: dt.tzinfo) -> int:
    return int(dt.datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


# -- days


@pytest.mark.parametrize(
    ("zone", "now", "hours"),
    [
        (UTC, "2026-11-23T00:00:00", 24),
        (BERLIN, "2026-11-23T23:00:00", 1),
        (BERLIN, "2026-03-29T00:00:00", 23),  # clocks go forward at two
        (BERLIN, "2026-10-25T00:00:00", 25),  # and back at three
        (ZoneInfo("Africa/Cairo"), "2026-04-23T12:00:00", 12),  # the next day begins at one
    ],
)
def test_the_gate_opens_when_the_next_day_of_the_zone_begins(
    zone: dt.tzinfo, now: str, hours: int
) -> None:
    begins = spending.midnight_ms(zone, ms(now, zone))
    assert begins == ms(now, zone) + hours * HOUR_MS
    day_before, day = (
        (at + spending.offset_ms(zone, at / 1000)) // 86_400_000 for at in (begins - 1, begins)
    )
    assert day == day_before + 1  # as the scripts count days


def test_a_claim_brings_the_zone_s_present_offset(tmp_path: Path) -> None:
    here = settings_in(tmp_path, timezone="Asia/Kathmandu", budget_tokens_per_day=7)
    budget = spending.Budgets(here).now()
    assert budget == Budget(20.0, 2.0, 7, offset_ms=(5 * 60 + 45) * 60_000)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("budget", "3.00 of 20.00 USD are spent today (Asia/Tokyo)"),
        ("token budget", "1,005 of 2,000 tokens are used today (Asia/Tokyo)"),
    ],
)
def test_a_spent_day_closes_the_gate_until_the_user_s_midnight(
    store: LeaseStore, tmp_path: Path, reason: str, words: str
) -> None:
    here = settings_in(tmp_path, timezone="Asia/Tokyo", budget_tokens_per_day=2_000)
    budgets = spending.Budgets(here)
    store.submit([sub("a", kind="claude")])
    lease = claim(store, "1", budget=budgets.now())
    cost = Cost(usd=3.0, input=1_005)
    store.settle(lease, State.SUCCEEDED, outcome="succeeded", costs=[cost])
    budgets.close_gate(store, reason, "0123456789abcdef")
    [entry] = store.gate()
    assert (entry.scope, entry.reason) == ("claude", reason)
    assert words in entry.why
    assert entry.by == "0123456789abcdef"
    assert "the next task, 0123456789ab, " in entry.why
    assert entry.why.endswith("or when that task is cancelled or put aside.")
    assert "Raise" not in entry.why  # that is the remedy's part
    assert entry.until_ms is not None
    local = dt.datetime.fromtimestamp(entry.until_ms / 1000, ZoneInfo("Asia/Tokyo"))
    assert local.time() == dt.time()
    store.submit([sub("b", kind="claude")])
    assert 0 < nothing(store).due_in_ms <= 24 * HOUR_MS


# -- what is left of a task's budget


@pytest.mark.parametrize(
    ("most", "spent", "left"), [(None, 5.0, None), (2.0, 0.0, 2.0), (2.0, 0.75, 1.25)]
)
def test_the_next_attempt_may_cost_what_is_left(
    most: float | None, spent: float, left: float | None
) -> None:
    options = ClaudeOptions(max_budget_usd=most)
    assert spending.with_what_is_left(options, spent).max_budget_usd == left


def test_where_nothing_is_left_nothing_is_started() -> None:
    with pytest.raises(Fail) as failed:
        spending.with_what_is_left(ClaudeOptions(max_budget_usd=2.0), 2.0)
    assert failed.value.outcome == "max_budget"
    assert "full budget" in failed.value.remedy


# -- runs whose end nobody saw


def ended(var: Path, number: int, stream: str = "sigterm") -> Path:
    """The folder of an attempt that has ended."""
    own = var / "attempts" / "task" / str(number)
    own.mkdir(parents=True)
    shutil.copy(STREAMS / f"{stream}.jsonl", own / "stream.jsonl")
    argv = ["claude", "--max-budget-usd=1.5"]
    facts = {"token": 1, "socket": str(own / "s"), "marker": "task/1", "tmpdir": str(own / "t")}
    (own / "command.json").write_text(json.dumps(facts | {"argv": argv}))
    (own / "exit.json").write_text(json.dumps({"exit_code": 0}))
    return own


def lost(store: LeaseStore, owner: str = "i:h:consumer-1") -> Lease:
    store.submit([sub("task", kind="claude")])
    lease = claim(store, "1", owner, budget=Budget(10.0, 4.0))
    store.started(lease, {"pid": 1}, "session")
    expire(store, "task")
    return lease


def test_a_lost_run_is_priced_by_whoever_has_its_folder(store: LeaseStore, tmp_path: Path) -> None:
    lost(store)
    folder = ended(tmp_path, 1)
    booking.price_lost(store, tmp_path, "i:h", "another")
    assert store.today().usd == 4.0
    for _ in range(2):
        booking.price_lost(store, tmp_path, "i:h")
        assert 0 < store.today().usd < 1.0
    cost = sum(row.usd for row in booking.costs_of(folder))
    assert store.cost_so_far("task") == pytest.approx(cost)


def test_a_lost_run_without_a_folder_is_only_priced_where_its_owner_was(
    store: LeaseStore, tmp_path: Path
) -> None:
    lost(store, "i:elsewhere:consumer-1")
    booking.price_lost(store, tmp_path, "i:h")
    assert store.today().usd == 4.0
    booking.price_lost(store, tmp_path, "i:elsewhere")
    assert store.today().usd == 0.0


def test_a_run_that_is_given_back_is_priced_at_once(store: LeaseStore, tmp_path: Path) -> None:
    store.submit([sub("task", kind="claude")])
    lease = claim(store, "1", budget=Budget(10.0, 4.0))
    folder = ended(tmp_path, 1)
    leftovers.give_back(tmp_path, store, Holding("me", "task", lease.token, 1, "claude"))
    assert state(store, "task") is State.QUEUED
    assert store.today().usd == pytest.approx(sum(row.usd for row in booking.costs_of(folder)))
    assert store.unpriced() == []


def test_a_model_without_a_price_is_booked_at_what_it_was_allowed(tmp_path: Path) -> None:
    folder = ended(tmp_path, 1)
    stream = folder / "stream.jsonl"
    stream.write_text(stream.read_text().replace("claude-opus-4-8", "claude-opus-99"))
    assert [row.usd for row in booking.costs_of(folder)] == [1.5]


# -- a budget that was raised


@pytest.mark.parametrize(
    ("limits", "opened"),
    [
        ({"budget_usd_per_day": 20.0}, ["budget"]),
        ({"budget_usd_per_day": None}, ["budget"]),
        ({"budget_usd_per_day": 6.0}, []),  # 5 are spent, and a task may cost 2
        ({"budget_usd_per_day": 1.0}, []),
    ],
)
def test_a_consumer_that_starts_opens_the_gate_of_a_budget_that_was_raised(
    store: LeaseStore, tmp_path: Path, limits: dict[str, float | None], opened: list[str]
) -> None:
    store.submit([sub("a", kind="claude")])
    before = spending.Budgets(settings_in(tmp_path, budget_usd_per_day=5.0))
    lease = claim(store, budget=before.now())
    cost = [Cost(model="m", usd=5.0)]
    store.settle(lease, State.SUCCEEDED, outcome="succeeded", costs=cost)
    before.close_gate(store, "budget", "a")
    store.close_gate("all", "pause", by="t", why="", until_ms=None)
    raised = spending.Budgets(settings_in(tmp_path, **limits))
    assert raised.reopen_gate(store) == opened
    left = {"pause"} if opened else {"budget", "pause"}
    assert {entry.reason for entry in store.gate()} == left
