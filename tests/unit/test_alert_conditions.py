"""What stands in the way, and whether a person is to know of it yet."""

from __future__ import annotations

import pytest

from alerts.conditions import of_budget, of_gate, of_problem, of_queue
from durable.costs import Today
from durable.problems import STALE_MS, Problem
from durable.records import GateEntry
from settings import ROOT, load

NOW, AFTER_MS = 10_000_000, 300_000


def problem(subject: str, since: int, seen: int = NOW) -> Problem:
    return Problem(subject=subject, host="here", text="gone", since_ms=since, seen_ms=seen)


@pytest.mark.parametrize(
    ("subject", "since", "kind"),
    [
        ("watcher:inbox", NOW - AFTER_MS, "source"),
        ("watcher:inbox", NOW - AFTER_MS + 1, None),  # it may yet pass
        ("poller:news", NOW, "source"),  # which has waited before it told
        ("app:baton-consumer-1", NOW, "process"),
        ("disk:/", NOW, "disk"),
        ("schedule:nightly", NOW - AFTER_MS, None),  # each of its ticks is news already
    ],
)
def test_a_problem_is_told_when_it_does_not_pass_by_itself(
    subject: str, since: int, kind: str | None
) -> None:
    found = of_problem(problem(subject, since), NOW, AFTER_MS)
    assert (found and found.kind) == kind


def test_a_problem_that_nobody_tells_any_more_opens_nothing() -> None:
    quiet = of_problem(problem("disk:/", 1, NOW - STALE_MS - 1), NOW, AFTER_MS)
    assert quiet
    assert quiet.weak


def test_a_gate_that_closes_again_is_another_incident_and_a_spent_budget_its_own_kind() -> None:
    def closed(reason: str, since_ms: int) -> GateEntry:
        return GateEntry(
            scope="claude:default", reason=reason, since_ms=since_ms, until_ms=None, by="", why="no"
        )

    first, second = of_gate(closed("login", 1)), of_gate(closed("login", 2))
    assert first.key != second.key
    assert (first.kind, of_gate(closed("budget", 1)).kind) == ("gate", "budget")
    assert "./baton login" in first.remedy


@pytest.mark.parametrize(
    ("usd", "tokens", "told"),
    [
        (7.9, 0, []),
        (8.0, 0, ["budget_usd_per_day"]),
        (0.0, 800, ["budget_tokens_per_day"]),
        (20.0, 2000, ["budget_usd_per_day", "budget_tokens_per_day"]),
    ],
)
def test_a_budget_is_told_at_its_threshold(usd: float, tokens: int, told: list[str]) -> None:
    import msgspec

    base = load(ROOT / "baton.example.yaml", {})
    settings = msgspec.structs.replace(base, budget_usd_per_day=10.0, budget_tokens_per_day=1000)
    today = Today(usd=usd, tokens=tokens, reserved_usd=0.0, reserved_tokens=0)
    assert [c.subject for c in of_budget(settings, 80, today, NOW)] == told
    none = msgspec.structs.replace(base, budget_usd_per_day=None, budget_tokens_per_day=None)
    assert list(of_budget(none, 80, today, NOW)) == []


def test_a_queue_without_a_consumer_says_how_many_wait() -> None:
    assert of_queue("gpu", 1, NOW).text.startswith("1 task waits in the queue gpu")
    assert of_queue("gpu", 3, NOW).text.startswith("3 tasks wait in the queue gpu")
