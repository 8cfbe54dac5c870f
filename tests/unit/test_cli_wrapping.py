"""Verbs that print sentences break them between words where the terminal ends."""

from pathlib import Path

import pytest

from cli import doctor, terminal
from cli.converge import Steps
from cli.examinations.findings import Finding
from cli.readiness import Failure
from cli.report import print_up
from tests.unit.test_housekeeper import settings_in


def test_findings_are_broken_between_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(terminal, "columns", lambda: 60)
    doctor._print(Finding("warn", "claude", "it may do more than " * 5, "take it away " * 9))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 60
    assert all(line.startswith(" " * 17) for line in lines[1:])
    assert sum(line.count("take it away") for line in lines) > 5


def test_what_up_says_is_broken_between_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(terminal, "columns", lambda: 60)
    done = Steps(keep=(), start=(), replace=(), remove=(), drain=("assistant-consumer-2",))
    failure = Failure("assistant-redis", "it does not come up " * 5, ("a line of its log " * 9,))
    print_up(settings_in(tmp_path), [], [], done, [failure], as_json=False)
    lines = [line for line in capsys.readouterr().out.splitlines() if "its log" not in line]
    assert any(line.startswith("! assistant-consumer-2") for line in lines)
    assert max(len(line) for line in lines if " " in line.strip()) <= 60
