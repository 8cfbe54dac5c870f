"""The times of leases: one scale for all, and only for the chaos run."""

import pytest

from cli.apps import PASSED_ON
from consumers import times


def test_without_the_scale_the_times_are_those_of_the_documents() -> None:
    assert times.scale({}) == 1
    assert (times.LEASE_MS, times.BEAT_S, times.GRACE_MS, times.REAP_S) == (30_000, 5, 15_000, 5)


def test_a_run_is_over_before_its_lease_can_be_given_on() -> None:
    """With a third of the lease to spare: for a slow look, and for what dies only by SIGKILL."""
    over_s = times.REMOTE_DEADLINE_S + sum(times.LADDER_S)
    assert over_s + 10 <= (times.LEASE_MS + times.GRACE_MS) / 1000
    assert 2 * times.HOLD_S < times.DEADLINE_S
    assert 3 * times.BEAT_S < times.REMOTE_DEADLINE_S  # two beats may be lost, and no run with them


@pytest.mark.parametrize("text", ["0", "2", "-1", "fast", "nan", ""])
def test_a_scale_out_of_range_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match=times.SCALE):
        times.scale({times.SCALE: text})


def test_no_app_under_pm2_ever_sees_the_scale() -> None:
    assert times.SCALE not in PASSED_ON
