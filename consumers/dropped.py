"""The file that a watcher's task is about: whether its claim is where it was, before an attempt begins.

On a disk or a share that is not mounted it is not. Claude would then say that it found no file, and that would
be the task's result; so the task is held instead, and the watcher sends it on when the folder is back.
"""

from __future__ import annotations

import os
from typing import Any

from durable.codec import loads
from durable.errors import CodecError
from durable.records import FILE_AWAY, Lease, State
from durable.settlement import Settlement
from durable.verdicts import Hold


def check(lease: Lease, context: dict[str, Any]) -> None:
    """Raise Hold for a Claude task whose file is away."""
    if why := _away(lease, context.get("path")):
        raise Hold(FILE_AWAY, why)


def held(lease: Lease) -> Settlement | None:
    """The end of an attempt of a Python task whose file is away, before it has begun; else None."""
    if lease.kind != "python" or not lease.source.startswith("watcher:"):
        return None
    try:
        args = getattr(loads(lease.body), "args", None)
    except CodecError:  # the attempt will say so
        return None
    why = _away(lease, args[0] if args else None)
    return Settlement(lease, State.HELD, FILE_AWAY, why) if why else None


def _away(lease: Lease, path: object) -> str:
    """Why the file cannot be had; "" when it can, or when the task itself has removed it from its claim."""
    if not lease.source.startswith("watcher:") or not isinstance(path, str):
        return ""
    claim = os.path.dirname(path)
    if os.path.basename(claim) != lease.id or os.path.isdir(claim):
        return ""
    return (
        f"its file is not there: {path}. Is its folder unmounted, moved or removed? The task goes on by "
        "itself when the file is back"
    )
