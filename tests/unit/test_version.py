"""Claude's version is known without running it."""

import json
import os
from pathlib import Path

import pytest

from consumers import version


@pytest.fixture
def claude(tmp_path: Path) -> Path:
    program = tmp_path / "bin" / "claude"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexit 1\n")
    return program


def test_the_native_installer_has_it_in_the_name(claude: Path, tmp_path: Path) -> None:
    real = tmp_path / "versions" / "2.1.330"
    real.parent.mkdir()
    claude.rename(real)
    claude.symlink_to(real)
    assert version.of(claude, tmp_path) == "2.1.330"


def test_npm_has_it_in_the_package_beside(claude: Path, tmp_path: Path) -> None:
    package = {"name": "@anthropic-ai/claude-code-linux-x64", "version": "2.1.197"}
    (claude.parent / "package.json").write_text(json.dumps(package))
    assert version.of(claude, tmp_path) == "2.1.197"


def test_what_a_run_has_said_is_remembered_of_that_file_alone(claude: Path, tmp_path: Path) -> None:
    assert version.of(claude, tmp_path) == ""
    version.remember(claude, tmp_path, None)
    version.remember(claude, tmp_path, "2.0.1")
    assert version.of(claude, tmp_path) == "2.0.1"
    os.utime(claude, (1, 1))  # it was updated
    assert version.of(claude, tmp_path) == ""


@pytest.mark.parametrize("note", ["", "[]", '{"version": 1}', "{"])
def test_a_note_that_cannot_be_read_says_nothing(claude: Path, tmp_path: Path, note: str) -> None:
    (tmp_path / "claude-version.json").write_text(note)
    (claude.parent / "package.json").write_text(note)
    assert version.of(claude, tmp_path) == ""
