"""The table of DESIGN: from each outcome to what follows."""

import pytest

from consumers.consequence import OVERLOAD_PAUSES_S, RETRY_PAUSES_S, Consequence, follows
from consumers.outcome import Conclusion, Outcome
from durable.verdicts import Fail, GiveBack, Hold, Retry

NOW = 1_000_000.0


def after(outcome: Outcome, **more: object) -> Consequence:
    end = Conclusion(outcome=outcome, message="what happened", remedy="what to do")
    facts: dict[str, object] = {"counted": 0, "started": 1, "retries": 3, "on_crash": "resume"}
    return follows(end, **(facts | more))  # type: ignore[arg-type]  # a table of any facts


def test_a_success_raises_nothing_and_closes_nothing() -> None:
    assert after(Outcome.SUCCEEDED) == Consequence(None, None)


@pytest.mark.parametrize(
    "outcome",
    [
        *(Outcome.DENIED, Outcome.REJECTED, Outcome.MAX_TURNS),
        *(Outcome.MAX_BUDGET, Outcome.CANCELLED),
    ],
)
def test_some_ends_are_final_whatever_is_left(outcome: Outcome) -> None:
    verdict = after(outcome).verdict
    assert isinstance(verdict, Fail)
    assert (verdict.outcome, verdict.remedy) == (outcome.value, "what to do")


@pytest.mark.parametrize(
    "outcome", [Outcome.CRASHED, Outcome.TIMED_OUT, Outcome.SILENT, Outcome.UNVERIFIED]
)
def test_a_failed_attempt_counts_and_is_repeated_until_its_retries_are_over(
    outcome: Outcome,
) -> None:
    again = after(outcome, counted=2).verdict
    assert isinstance(again, Retry)
    assert again.outcome == outcome.value
    last = after(outcome, counted=3).verdict
    assert isinstance(last, Fail)
    assert "attempt 4 of 4" in last.message
    held = after(outcome, on_crash="hold").verdict
    assert isinstance(held, Hold)


@pytest.mark.parametrize(
    ("outcome", "reason"), [(Outcome.AUTH, "login"), (Outcome.BILLING, "billing")]
)
def test_a_lost_login_or_credit_closes_the_gate_and_is_looked_at_now_and_then(
    outcome: Outcome, reason: str
) -> None:
    found = after(outcome)
    assert isinstance(found.verdict, GiveBack)
    assert found.gate == (reason, None, 300)


def test_a_usage_limit_closes_the_gate_until_its_reset_or_for_a_while() -> None:
    end = Conclusion(outcome=Outcome.USAGE_LIMIT, message="spent", reset_at=NOW + 3600)
    facts = {"counted": 0, "started": 1, "retries": 3, "on_crash": "resume"}
    found = follows(end, **facts)  # type: ignore[arg-type]  # a table of any facts
    assert found.gate == ("usage limit", NOW + 3600, 30)
    assert after(Outcome.USAGE_LIMIT).gate == ("usage limit", None, 900)


def test_pauses_grow_and_jitter_within_a_fifth() -> None:
    for counted, pause in enumerate(RETRY_PAUSES_S):
        again = after(Outcome.CRASHED, counted=counted, retries=99).verdict
        assert isinstance(again, Retry)
        assert 0.8 * pause <= again.delay <= 1.2 * pause
    late = after(Outcome.OVERLOADED, started=50).verdict
    assert isinstance(late, GiveBack)
    assert late.delay <= 1.2 * OVERLOAD_PAUSES_S[-1]


def test_every_outcome_has_its_consequence() -> None:
    for outcome in Outcome:
        found = after(outcome)
        assert (found.verdict is None) == (outcome is Outcome.SUCCEEDED)


def test_an_interrupted_attempt_does_not_count_and_waits_for_nothing() -> None:
    verdict = after(Outcome.INTERRUPTED).verdict
    assert isinstance(verdict, GiveBack)
    assert verdict.delay == 0
