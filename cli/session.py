"""The verbs that hand over to another program: login, shell, check."""

from __future__ import annotations

import argparse
import code
import contextlib
import subprocess
import sys
from typing import Any

from cli import queue
from cli.errors import CliError
from cli.terminal import paint

_BANNER = """Python {version} with Baton in place: huey, claude, tasks, settings.

  result = claude("Say hello.")        puts a task in
  result.get(blocking=True)["text"]    waits for what Claude says
"""
# Closed by a login that was lost or a claude that was not there; a login proves both wrong.
_OPENED_BY_LOGIN = ("login", "claude missing")


def login(args: argparse.Namespace) -> int:
    """Run Claude's own login, then open the gate that a lost login closed."""
    from consumers.claude import Missing, locate
    from settings import load

    found = locate(load())
    if isinstance(found, Missing):
        raise CliError("Claude Code is not found.", found.remedy)
    status = subprocess.run(
        [str(found.path), *login_words(str(found.path))], check=False
    ).returncode
    if status:
        raise CliError(f"Claude's login ended with status {status}; nothing was changed.")
    _open_gate()
    return 0


def login_words(claude: str) -> list[str]:
    """Return the words that log this version of claude in: `auth login` where it is known."""
    asked = subprocess.run(
        [claude, "auth", "login", "--help"], capture_output=True, text=True, check=False
    )
    return ["auth", "login"] if "auth login" in asked.stdout else ["/login"]


def _open_gate() -> None:
    import redis

    store = queue.store()
    try:
        opened = sum(store.open_gate(reason) for reason in _OPENED_BY_LOGIN)
    except redis.RedisError as error:
        print(f"Logged in. Redis does not answer ({error}); ./baton up starts it.")
        return
    print("Logged in; waiting tasks go on." if opened else "Logged in.")


def shell(args: argparse.Namespace) -> int:
    """Open a Python shell with the queue in place, or run one piece of code there."""
    import tasks

    tasks.huey.source = "shell"
    tasks.load_user_tasks()
    names: dict[str, Any] = {
        "__name__": "__main__",
        "huey": tasks.huey,
        "claude": tasks.claude,
        "tasks": tasks,
        "settings": tasks.config,
    }
    if args.code is not None:
        exec(compile(args.code, "<-c>", "exec"), names)  # noqa: S102  as `python -c` does
        return 0
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  history and editing of the lines, where Python has it
    version = sys.version.split()[0]
    code.interact(banner=paint(_BANNER.format(version=version), "dim"), local=names, exitmsg="")
    return 0


def check(args: argparse.Namespace) -> int:
    """Check format, lint and types."""
    from cli import checks

    return checks.check()
