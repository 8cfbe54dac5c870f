"""The verbs that look at Baton's own code: `check` (format, lint, types, shell) and `test`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

SCRIPTS = ("baton", ".ci/run")

#: Processes that share the tests: many wait more than they compute, and the smallest machine of CI has two cores.
WORKERS = "2"


def check() -> int:
    """Run every check, each even when one before it failed; 0 if all passed, else 1."""
    passed = [run(command) for command in (*python_checks(), *shell_checks())]
    return 0 if all(passed) else 1


def test(args: Sequence[str]) -> int:
    """Run `check`, then pytest; 0 if both passed, else 1.

    `--quick` leaves it at tests/unit, and the queue's tests at a fake server; `--cov` adds coverage. All
    other arguments go to pytest as they are. The tests run even when a check failed, so that one run tells
    everything that is wrong.
    """
    checked = check()
    tested = run(pytest_command(args))
    if tested and checked:
        print("The tests passed, a check before them did not: see ./baton check", flush=True)
    return 0 if tested and not checked else 1


def python_checks() -> list[list[str]]:
    """Return the commands that check the Python code; the tools come from .venv."""
    tools = (["ruff", "format", "--check", "."], ["ruff", "check", "."], ["mypy"])
    return [[sys.executable, "-m", *tool] for tool in tools]


def shell_checks() -> list[list[str]]:
    """Return the command that checks the shell scripts, or none where its tool is missing."""
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        print("shellcheck is not installed, so the shell scripts are not checked.", flush=True)
        return []
    return [[shellcheck, *SCRIPTS]]


def pytest_command(args: Sequence[str]) -> list[str]:
    """Return the pytest command for `./baton test ARGS`.

    The tests are shared out to workers unless ARGS choose among them. `--cov` is left to whoever asks for it:
    it takes half as much CPU again, and sees nothing of the processes that most promises are about.
    """
    rest = [arg for arg in args if arg not in ("--quick", "--cov")]
    chosen = ["tests/unit"] if "--quick" in args else ["--servers"]
    coverage = ["--cov", "--cov-report=term"] if "--cov" in args else []
    shared = [] if rest else ["-n", WORKERS, "--dist", "worksteal"]
    return [sys.executable, "-m", "pytest", *chosen, *coverage, *shared, *rest]


def run(command: Sequence[str]) -> bool:
    """Run COMMAND in the repository, its name printed first; whether it ended with 0."""
    shown = [Path(command[0]).name, *command[1:]]
    print("$", *shown, flush=True)
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0
