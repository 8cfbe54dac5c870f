"""The folder of an attempt: where it lies, what its stream says so far, whose it was."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from pathlib import Path

from consumers.stream import Summary, fold, frame

CHECK = "verify"
"""The folder within an attempt's in which its `verify` command runs."""


def is_plain(task_id: str) -> bool:
    """Whether an id names a folder of its own: a foreign hand in Redis may have put in any text."""
    return Path(task_id).name == task_id and task_id != ".." and "\0" not in task_id


def of(var: Path, task_id: str, attempt: int) -> Path:
    """Where everything about an attempt lies."""
    return var / "attempts" / task_id / str(attempt)


def var_of(folder: Path) -> Path:
    """The state folder in which an attempt's folder, or its check's, lies."""
    attempt = folder.parent if folder.name == CHECK else folder
    return attempt.parents[2]


def before(var: Path, task_id: str, attempt: int) -> Iterator[Path]:
    """Those of the attempts before this one, the newest first; one that never started has left none."""
    folders = (of(var, task_id, number) for number in range(attempt - 1, 0, -1))
    return (folder for folder in folders if folder.is_dir())


def read(folder: Path, summary: Summary, position: int = 0) -> tuple[Summary, int]:
    """Fold what the stream holds after `position`; a line that is not complete waits for its rest."""
    try:
        with (folder / "stream.jsonl").open("rb") as stream:
            stream.seek(position)
            data = stream.read()
    except FileNotFoundError:
        return summary, position
    events, rest = frame(data)
    for event in events:
        summary = fold(summary, event)
    return summary, position + len(data) - len(rest)


def note_token(folder: Path, token: int) -> None:
    """The attempt goes on under this token: its end is settled with it. Raises OSError."""
    draft = folder / "token.new"
    draft.write_text(f"{token}\n")
    draft.replace(folder / "token")


def token_of(folder: Path) -> int:
    """The token that the attempt went on under, or was prepared under; -1 when that cannot be read."""
    try:
        return int((folder / "token").read_text())
    except FileNotFoundError:
        pass
    except (OSError, ValueError):
        return -1
    try:
        return int(json.loads((folder / "command.json").read_text())["token"])
    except (OSError, ValueError, KeyError):
        return -1


def living(attempt: Path) -> Path | None:
    """The folder of what a runner has of an attempt now, the run or its check; None when nothing of it lives."""
    return next((folder for folder in (attempt, attempt / CHECK) if lives(folder)), None)


def lives(folder: Path) -> bool:
    """Whether a runner has this folder now, as its lock says. Only looks: nothing is ended or written."""
    try:
        with (folder / "runner.lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no runner was ever there
        return False
    return False
