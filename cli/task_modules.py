"""Whether the modules that baton.yaml names under `tasks` can be imported: asked before anything is touched."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from cli.errors import CliError
from cli.pm2 import clean_environment

if TYPE_CHECKING:
    from settings import Settings

_PATIENCE_S = 60.0
_LAST_LINES = 12


def check_tasks(settings: Settings) -> None:
    """Import them in a process of its own, in the environment of the apps. Raises CliError with what Python says."""
    if not settings.tasks:
        return
    named = ", ".join(settings.tasks)
    try:
        done = subprocess.run(
            [sys.executable, "-c", "import tasks; tasks.load_user_tasks()"],
            cwd=settings.root,
            env=clean_environment(os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CliError(
            f"tasks: {named}: importing them takes longer than {_PATIENCE_S:.0f} s.",
            "A module should define tasks and do nothing else. Nothing was touched.",
        ) from error
    if done.returncode:
        said = "\n".join(done.stderr.strip().splitlines()[-_LAST_LINES:])
        raise CliError(f"tasks: {named} cannot be imported:\n{said}", "Nothing was touched.")
