"""A producer's report: written when something has changed, once a second at most, and never in the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from producers.report import EVERY_S, Report, file_of, read


def test_a_report_is_written_when_something_has_changed_and_not_too_often(tmp_path: Path) -> None:
    file = file_of(tmp_path, "watcher:inbox")
    report = Report(file)
    assert report.write({"claimed": 1}, 10.0) is None
    assert json.loads(file.read_text()) == {"claimed": 1}
    assert report.write({"claimed": 2}, 10.5) == 10.0 + EVERY_S
    assert read(file) == {"claimed": 1}
    assert report.write({"claimed": 2}, 10.0 + EVERY_S) is None
    assert read(file) == {"claimed": 2}
    file.unlink()
    report.write({"claimed": 2}, 20.0)
    assert not file.exists(), "nothing has changed"
    assert sorted(path.name for path in file.parent.iterdir()) == []


def test_a_restart_knows_what_was_reported(tmp_path: Path) -> None:
    file = file_of(tmp_path, "poller:news")
    Report(file).write({"items": 3}, 0.0)
    assert Report(file).before == {"items": 3}


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_a_report_that_cannot_be_read_says_nothing(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text)
    assert read(file) == {}
    assert read(tmp_path / "none.json") == {}


def test_a_disk_that_takes_no_report_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "producers").write_text("a file")
    assert Report(file_of(tmp_path, "scheduler")).write({}, 0.0) is None
    assert "cannot be written" in caplog.text
