"""Whether the modules under `tasks` can be imported and the entries can work: asked before anything is touched."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from cli.entries import REFUSED
from cli.errors import CliError
from cli.pm2 import clean_environment

if TYPE_CHECKING:
    from settings import Settings

_PATIENCE_S = 60.0
_LAST_LINES = 12


def check_tasks(settings: Settings) -> None:
    """Try both in a process of its own, in the environment of the apps. Raises CliError with what is wrong."""
    named = ", ".join(settings.tasks) or "none"
    try:
        done = subprocess.run(
            [sys.executable, "-c", "from cli.entries import main; main()"],
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
    if done.returncode == REFUSED:
        raise CliError(done.stdout.strip(), "Nothing was touched.")
    if done.returncode:
        said = "\n".join(done.stderr.strip().splitlines()[-_LAST_LINES:])
        raise CliError(f"tasks: {named} cannot be imported:\n{said}", "Nothing was touched.")
