"""A consumer that is no longer named goes when it has nothing in hand, unless it is named again before."""

from pathlib import Path

from consumers.draining import Mark


def test_it_goes_when_it_is_asked_to_and_not_before(tmp_path: Path) -> None:
    mark = Mark(tmp_path, "baton-consumer-2")
    assert not mark.is_asked()
    assert not mark.go()
    mark.ask()
    mark.ask()  # a second `up`
    assert mark.is_asked()
    assert mark.go()
    assert not mark.is_asked()


def test_one_that_is_wanted_again_in_time_stays(tmp_path: Path) -> None:
    mark = Mark(tmp_path, "baton-consumer-2")
    mark.ask()
    assert mark.withdraw()
    assert not mark.go()


def test_one_that_was_started_to_drain_is_to_be_started_anew(tmp_path: Path) -> None:
    """It knows no queues, so it would be there and never claim."""
    mark = Mark(tmp_path, "baton-consumer-2")
    mark.ask()
    mark.only_drains()
    mark.ask()
    assert not mark.withdraw()
    assert mark.withdraw()


def test_one_that_went_first_is_to_be_started_anew_once(tmp_path: Path) -> None:
    mark = Mark(tmp_path, "baton-consumer-2")
    mark.ask()
    assert mark.go()
    assert not mark.withdraw()
    assert mark.withdraw()
    assert not list((tmp_path / "draining").iterdir())
