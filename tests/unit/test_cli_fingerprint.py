"""What makes `up` restart an app, and what does not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from cli.apps import roles
from cli.fingerprint import fingerprint
from settings import Settings, load
from tests.conftest import ROOT

YAML = """\
consumers: 2
tasks: [my_tasks]
watchers:
  inbox: {path: Inbox, prompt: "Read {{ path }}", failed: Failed}
  other: {path: Other, prompt: "Read {{ path }}", failed: Failed}
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A copy of the code, so that a test may change it."""
    for name in ("app.py", "tasks.py", "ecosystem.config.js", "cli", "durable", "producers"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path)
    shutil.copytree(ROOT / "consumers", tmp_path / "consumers")
    for file in ROOT.glob("settings*.py"):
        shutil.copy(file, tmp_path)
    (tmp_path / "requirements.txt").write_text("redis==8.1\n")
    (tmp_path / "my_tasks.py").write_text("")
    (tmp_path / "baton.yaml").write_text(YAML)
    return tmp_path


def settings_of(repository: Path) -> Settings:
    config = repository / "baton.yaml"
    return replace(load(config, {"BATON_VAR": str(repository / "var")}), root=repository)


def changed_by(repository: Path, change: Callable[[], object]) -> set[str]:
    """The apps whose fingerprint a change moves."""
    settings = settings_of(repository)
    before = {pair: fingerprint(settings, *pair) for pair in roles(settings)}
    change()
    settings = settings_of(repository)
    after = {pair: fingerprint(settings, *pair) for pair in roles(settings)}
    return {" ".join(pair).strip() for pair in after if after[pair] != before.get(pair)}


CONSUMERS = {"consumer 1", "consumer 2"}
WATCHERS = {"watch inbox", "watch other"}
EVERY = {"redis", "scheduler", *WATCHERS, *CONSUMERS}


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("app.py", EVERY),
        ("requirements.txt", EVERY),
        ("ecosystem.config.js", EVERY),
        ("durable/store.py", EVERY - {"redis"}),
        ("durable/scripts/claim.lua", EVERY - {"redis"}),
        ("durable/server.py", EVERY),
        ("tasks.py", EVERY - {"redis"}),
        ("producers/watcher.py", {"scheduler", *WATCHERS}),
        ("consumers/runner.py", CONSUMERS),
        ("my_tasks.py", {"scheduler", *CONSUMERS}),
        ("cli/look.py", set()),
        ("README.md", set()),
    ],
)
def test_a_changed_file_restarts_those_that_load_it(
    repository: Path, file: str, expected: set[str]
) -> None:
    path = repository / file
    before = path.read_text() if path.exists() else ""
    assert changed_by(repository, lambda: path.write_text(before + "\n# changed")) == expected


def test_a_changed_entry_restarts_its_own_app(repository: Path) -> None:
    text = YAML.replace("path: Other", "path: Another")
    found = changed_by(repository, lambda: (repository / "baton.yaml").write_text(text))
    assert found == {"watch other"}


def test_a_touched_file_restarts_nobody(repository: Path) -> None:
    assert changed_by(repository, (repository / "app.py").touch) == set()
