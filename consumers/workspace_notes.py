"""What is known of the workspaces on this host: a note for each in `var/workspaces`, written before it is made."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import msgspec

log = logging.getLogger(__name__)


class Workspace(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one. Of a `fresh` one the fields on git are empty."""

    task: str
    kind: str
    path: Path
    keep: str
    repository: Path = Path()
    inside: str = ""
    branch: str = ""
    base: str = ""
    made: bool = False


def find(var: Path, task_id: str) -> Workspace | None:
    """The workspace of a task on this host, kept ones too; None when it has none."""
    return _read(_active(var, task_id)) or _read(_kept(var, task_id))


def active(var: Path) -> list[str]:
    """The tasks whose workspace nobody has looked at since it was made."""
    return sorted(file.stem for file in _active(var, "x").parent.glob("*.json"))


def kept(var: Path) -> list[str]:
    """The tasks that are final and whose workspace stayed."""
    return sorted(file.stem for file in _kept(var, "x").parent.glob("*.json"))


def park(var: Path, space: Workspace, why: str) -> None:
    """Note that it stays although its task is final. Raises OSError."""
    file, target = _active(var, space.task), _kept(var, space.task)
    if not file.exists():  # it was kept before
        return
    log.info("task %s: its workspace %s stays: %s", space.task, space.path, why)
    target.parent.mkdir(mode=0o700, exist_ok=True)
    file.replace(target)


def write(var: Path, space: Workspace) -> None:
    """Note that it is in use; one that was kept is so again. Raises OSError."""
    file = _active(var, space.task)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = file.with_suffix(".new")
    draft.write_bytes(msgspec.json.encode(space, enc_hook=str))
    draft.replace(file)
    _kept(var, space.task).unlink(missing_ok=True)


def drop(var: Path, task_id: str) -> None:
    """Forget it: nothing of it is left. Raises OSError."""
    _active(var, task_id).unlink(missing_ok=True)
    _kept(var, task_id).unlink(missing_ok=True)


def _read(file: Path) -> Workspace | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Workspace, dec_hook=_path)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def _path(kind: type, value: Any) -> Path:
    return Path(value)


def _active(var: Path, task_id: str) -> Path:
    return var / "workspaces" / f"{task_id}.json"


def _kept(var: Path, task_id: str) -> Path:
    return var / "workspaces" / "kept" / f"{task_id}.json"
