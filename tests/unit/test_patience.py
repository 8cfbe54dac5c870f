"""Waiting for what is away: one line when it goes, one when it is back, whoever asks."""

import logging

import pytest

from durable.patience import Patience

log = logging.getLogger("patience")


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "patience")
    return caplog


def test_it_says_once_a_minute_that_something_is_away(said: pytest.LogCaptureFixture) -> None:
    patience = Patience("Redis", log)
    for second in (0.0, 1.0, 59.0):
        patience.failed(second, "gone")
    assert len(said.records) == 1
    patience.failed(60.0, "gone")
    assert len(said.records) == 2


def test_an_answer_to_an_older_question_is_no_sign_of_life(said: pytest.LogCaptureFixture) -> None:
    """One thread's answer came before the end, another one has seen the end; the first is the slower to say so."""
    patience = Patience("Redis", log)
    patience.failed(10.0, "gone")
    patience.worked(asked_at=9.0)
    patience.failed(11.0, "gone")
    assert len(said.records) == 1
    patience.worked(asked_at=12.0)
    assert said.messages[-1] == "Redis: back after 2 failed tries"
    assert not patience.waiting(12.0)
