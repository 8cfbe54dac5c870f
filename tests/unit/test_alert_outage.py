"""An outage is told also where its note cannot be written: a full disk is why Redis is away, as a rule."""

from pathlib import Path

import pytest

from alerts.messages import Message
from alerts.outage import Outage
from alerts.times import AWAY_S


def test_where_the_note_cannot_be_written_an_outage_is_told_once_and_its_end_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "alerts" / "redis.new").mkdir(parents=True)  # in the way of every write
    sent: list[Message] = []
    now = [1000.0]
    outage = Outage(tmp_path / "alerts" / "redis.json", "here", sent.append, wall=lambda: now[0])
    for _ in range(4):
        outage.away("no answer")
        now[0] += AWAY_S
    assert [one.state for one in sent] == ["opened"]
    assert "cannot be written" in caplog.text
    outage.back()
    outage.back()
    assert [one.state for one in sent] == ["opened", "over"]
