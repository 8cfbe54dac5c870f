"""Imports go one way: cli, app → producers, consumers → tasks → durable; settings is a leaf."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PARTS = (
    "app",
    "cli",
    "chaos",
    "demo",
    "alerts",
    "producers",
    "consumers",
    "tasks",
    "durable",
    "settings",
)

#: What each part may import of ours, beside itself.
ALLOWED = {
    "app": {"cli", "settings", "durable", "alerts", "producers", "consumers"},
    "cli": {"settings", "durable", "tasks", "consumers", "producers", "alerts", "demo", "chaos"},
    "chaos": {"tasks", "durable", "settings", "consumers"},
    "demo": {"cli", "settings", "durable"},
    "alerts": {"producers", "durable", "settings"},  # of producers: when ticks are due
    "producers": {"tasks", "durable", "settings"},
    "consumers": {"tasks", "durable", "settings"},
    "tasks": {"durable", "settings"},
    "durable": {"settings"},  # for types only, see below
    "settings": set(),
}


def sources(part: str) -> list[Path]:
    file = ROOT / f"{part}.py"
    return [file] if file.exists() else sorted((ROOT / part).rglob("*.py"))


def imported(file: Path, *, with_types: bool) -> set[str]:
    tree = ast.parse(file.read_text())
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and getattr(block.test, "id", "") == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    names = set()
    for node in ast.walk(tree):
        if id(node) in typing_only and not with_types:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names & set(PARTS)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_imports_only_what_lies_below_it(part: str) -> None:
    for file in sources(part):
        strangers = imported(file, with_types=True) - ALLOWED[part] - {part}
        assert not strangers, f"{file.relative_to(ROOT)} imports {strangers}"


def test_the_queue_knows_the_settings_only_as_a_type() -> None:
    for file in sources("durable"):
        assert "settings" not in imported(file, with_types=False), file


@pytest.mark.parametrize("module", ["tasks", "cli", "app"])
def test_a_light_process_loads_no_attempt_code_and_no_templates(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    env = os.environ | {"BATON_CONFIG": str(ROOT / "baton.example.yaml")}
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True
    )
    loaded = set(out.stdout.split())
    heavy = {
        "consumers.attempt",
        "consumers.runner",
        "jinja2",
        "watchdog",
        "croniter",
        "producers.watcher",
    }
    assert not loaded & heavy


def test_a_runner_loads_what_it_needs_of_the_standard_library_and_no_more() -> None:
    """One stands beside every claude, and every claude waits for its imports."""
    code = f"import sys; sys.path.append({str(ROOT)!r}); import consumers.run; print(*sys.modules)"
    out = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    loaded = set(out.stdout.split())
    assert "consumers.supervision" in loaded
    heavy = {"ctypes", "enum", "json", "logging", "pathlib", "re", "shutil", "signal", "socket"}
    assert not loaded & (heavy | {"subprocess", "tempfile", "threading", "types", "typing"})
