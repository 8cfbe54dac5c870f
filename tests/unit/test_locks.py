"""The lock files hold what pyproject.toml asks for, with hashes, and name no machine or registry."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PYTHON_LOCKS = ("requirements.txt", "requirements-dev.txt", "requirements-node.txt")
LOCKS = (*PYTHON_LOCKS, "package-lock.json", "package.json", ".npmrc")


def pins(lock: str) -> dict[str, str]:
    """Package to version, as LOCK pins them."""
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ]+)", (ROOT / lock).read_text(), re.MULTILINE))


def asked() -> tuple[set[str], set[str]]:
    """The names that pyproject.toml asks for: to run, and to develop."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    def names(lines: list[str]) -> set[str]:
        return {re.split(r"[<>=\[]", line)[0].lower() for line in lines}

    return names(project["dependencies"]), names(project["optional-dependencies"]["dev"])


def npm_lock() -> dict[str, Any]:
    """The packages of package-lock.json, by their folder."""
    found: dict[str, Any] = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    return found


def test_every_dependency_of_the_project_is_pinned() -> None:
    run, develop = asked()
    assert run <= set(pins("requirements.txt"))
    assert develop <= set(pins("requirements-dev.txt"))


def test_the_development_lock_changes_no_version_of_the_other() -> None:
    assert pins("requirements.txt").items() <= pins("requirements-dev.txt").items()


@pytest.mark.parametrize("lock", PYTHON_LOCKS)
def test_every_pin_carries_hashes(lock: str) -> None:
    entries = re.split(r"^(?=[a-z])", (ROOT / lock).read_text(), flags=re.MULTILINE)[1:]
    assert entries
    assert all("--hash=sha256:" in entry for entry in entries)


@pytest.mark.parametrize("lock", LOCKS)
def test_no_lock_names_a_registry_or_a_path_of_a_machine(lock: str) -> None:
    text = (ROOT / lock).read_text()
    for trace in ("--index-url", "--find-links", "registry.", "pypi.", '"resolved"', "file://"):
        assert trace not in text


def test_every_npm_package_carries_a_hash() -> None:
    locked = {folder: entry for folder, entry in npm_lock().items() if folder}
    assert all(entry["integrity"].startswith("sha512-") for entry in locked.values())


@pytest.mark.parametrize("platform", ["linux-x64", "linux-arm64", "darwin-x64", "darwin-arm64"])
def test_claude_is_locked_for_every_platform(platform: str) -> None:
    entry = npm_lock()[f"node_modules/@anthropic-ai/claude-code-{platform}"]
    assert entry["dev"]
    assert entry["optional"]
    assert entry["version"] == npm_lock()["node_modules/@anthropic-ai/claude-code"]["version"]
