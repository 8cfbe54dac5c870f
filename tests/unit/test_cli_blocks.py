"""The blocks of `./baton show`: what an attempt's folder tells, and the lines that run it again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cli import blocks
from cli.attempts import Attempt


def attempt(cwd: Path, **fields: Any) -> Attempt:
    command = {"cwd": str(cwd), "umask": 0o77, "env": ["HOME"], "argv": ["/c", "--session-id=s"]}
    about = {"started_s": 1.0, "ended_s": 2.0, "session": "s", **fields}
    return Attempt(number=1, folder=cwd, outcome="failed", cwd=str(cwd), command=command, **about)


def test_an_attempt_that_ended_can_be_run_again_and_gone_on_with(tmp_path: Path) -> None:
    said = "\n".join(blocks.by_hand_lines(attempt(tmp_path)))
    assert f"cd {tmp_path} && umask 077" in said
    assert f"(cd {tmp_path} && /c --resume s)" in said


def test_nobody_is_sent_into_a_session_that_is_at_work(tmp_path: Path) -> None:
    said = "\n".join(blocks.by_hand_lines(attempt(tmp_path, ended_s=None)))
    assert "umask 077" in said
    assert "--resume" not in said


def test_an_attempt_whose_folder_is_gone_says_so_and_gives_no_line_that_cannot_work(
    tmp_path: Path,
) -> None:
    gone = attempt(tmp_path / "gone")
    said = "\n".join(blocks.by_hand_lines(gone))
    assert f"cannot be run again by hand as it was: {tmp_path}/gone is gone" in said
    assert "umask" not in said
    assert f"{tmp_path}/gone (gone)" in "\n".join(blocks.block(gone, ""))
