"""Tasks of the assistant's own; baton.yaml names this module."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

from tasks import claude, huey

VAULT = Path(__file__).parent / "vault"
KEPT = dt.timedelta(days=90)


@claude.task(allowed_tools=["Read", "Glob", "Grep"])
def ask_vault(question: str) -> str:
    """`ask_vault("When is the rent due?")` from `./baton shell`; returns the prompt."""
    return f"Answer from the files under vault/ alone, and name them. The question:\n\n{question}"


@huey.task(retries=2, retry_delay=60)
def tidy_done(*_: object, **__: object) -> int:
    """Move what was done long ago into a folder of its year; how many files."""
    oldest = dt.datetime.now().timestamp() - KEPT.total_seconds()
    moved = 0
    for file in (VAULT / "Done").glob("[!.]*"):
        if file.is_file() and file.stat().st_mtime < oldest:
            year = VAULT / "Done" / str(dt.datetime.fromtimestamp(file.stat().st_mtime).year)
            year.mkdir(exist_ok=True)
            shutil.move(file, year / file.name)
            moved += 1
    return moved
