from pathlib import Path

import pytest

from consumers import result_file


def test_the_text_stands_where_it_was_asked_for(tmp_path: Path) -> None:
    target = tmp_path / "new" / "a.summary.md"
    assert result_file.write(target, "schön\n") == target
    assert target.read_text() == "schön\n"


def test_another_file_is_never_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "a.md"
    target.write_text("yours")
    assert result_file.write(target, "ours") == tmp_path / "a (2).md"
    assert target.read_text() == "yours"
    assert result_file.write(target, "third") == tmp_path / "a (3).md"


def test_a_repeat_after_a_crash_adds_nothing(tmp_path: Path) -> None:
    target = tmp_path / "a.md"
    target.write_text("yours")
    first = result_file.write(target, "ours")
    assert result_file.write(target, "ours") == first
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_in_the_way_is_gone_around(tmp_path: Path) -> None:
    (tmp_path / "a.md").mkdir()
    assert result_file.write(tmp_path / "a.md", "ours") == tmp_path / "a (2).md"


def test_a_place_that_cannot_be_written_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        result_file.write(tmp_path / "file" / "a.md", "ours")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_long_name_is_no_trouble(tmp_path: Path) -> None:
    target = tmp_path / ("n" * 240 + ".md")
    assert result_file.write(target, "ours").read_text() == "ours"


def test_half_a_character_is_no_reason_to_lose_a_result(tmp_path: Path) -> None:
    assert result_file.write(tmp_path / "a.md", "half \ud83d").read_text() == "half ?"
