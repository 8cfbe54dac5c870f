"""How facts are printed."""

import json

import pytest

from cli import terminal


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.9, "59s"), (60, "1m"), (3_725, "1h02m"), (90_061, "1d01h"), (-3, "0s")],
)
def test_an_age_is_its_two_largest_units(seconds: float, text: str) -> None:
    assert terminal.age(seconds) == text


def test_a_table_fits_the_width_that_it_is_given() -> None:
    rows = [("a1", "x" * 70, "short"), ("b2", "y", "z" * 70)]
    lines = terminal.table(("ID", "NAME", "WHAT"), rows, width=60).splitlines()
    assert max(map(len, lines)) <= 60
    assert "…" in lines[1]
    assert lines[1].startswith("a1")


def test_a_table_of_wide_characters_stays_in_its_columns() -> None:
    lines = terminal.table(("NAME", "N"), [("漢字", "1"), ("abcd", "2")], width=80).splitlines()
    assert [terminal.breadth(line) for line in lines[1:]] == [7, 7]


def test_no_cell_can_move_the_cursor_or_start_a_line() -> None:
    evil = "a\x1b[2Jb\nc\ud800"
    printed = terminal.table(("NAME",), [(evil,)])
    assert printed.count("\n") == 1
    assert "\x1b" not in printed
    printed.encode()


def test_a_text_keeps_the_newlines_that_it_may_keep() -> None:
    assert terminal.printable("a\nb\x1b", keep="\n") == "a\nb\\x1b"


def test_there_is_no_colour_when_the_output_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert terminal.paint("ready", "green") == "ready"


def test_there_is_colour_on_a_terminal_unless_it_is_unwanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[31m" in terminal.paint("failed", "red")
    monkeypatch.setenv("NO_COLOR", "1")
    assert terminal.paint("failed", "red") == "failed"


def test_json_on_a_terminal_moves_no_cursor_and_can_always_be_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    facts = {"a": "\x9b2J \x1b[2J \x7f é 🙂", "b": "no UTF-8: \udcff"}
    terminal.print_json(facts)
    printed = capsys.readouterr().out
    assert terminal.printable(printed, keep="\n") == printed
    assert "é 🙂" in printed
    assert json.loads(printed) == facts
