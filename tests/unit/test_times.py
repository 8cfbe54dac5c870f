"""The times of leases: one scale for all, and only for the chaos run."""

import pytest

from cli.apps import PASSED_ON
from consumers import times


def test_without_the_scale_the_times_are_those_of_the_documents() -> None:
    assert times.scale({}) == 1
    assert (times.LEASE_MS, times.BEAT_S, times.GRACE_MS, times.REAP_S) == (30_000, 5, 15_000, 5)


@pytest.mark.parametrize("text", ["0", "2", "-1", "fast", "nan", ""])
def test_a_scale_out_of_range_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match=times.SCALE):
        times.scale({times.SCALE: text})


def test_no_app_under_pm2_ever_sees_the_scale() -> None:
    assert times.SCALE not in PASSED_ON
