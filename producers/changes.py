"""Who has changed a claimed file: its own task, or a writer that had it open. Pure."""

from __future__ import annotations

from typing import Literal

from durable.records import Record
from producers.notes import Claim

#: The clock of files may be behind by one tick of the kernel.
_TICK_MS = 50


def whose(claim: Claim, record: Record, mtime_ns: int, edits: bool) -> Literal["task", "somebody"]:
    """Whose change it is that a file of a final task had last at `mtime_ns`.

    `edits`: the configuration says that tasks change their files. Otherwise a change is the task's own only if
    nobody had the file open when it was claimed, and only while it ran. When its first attempt began is not known
    any more once there was another.
    """
    if edits:
        return "task"
    if not claim.alone:
        return "somebody"
    mtime_ms = mtime_ns // 1_000_000 + _TICK_MS
    before = record.attempt <= 1 and mtime_ms < record.started_ms
    return "somebody" if before or mtime_ms - 2 * _TICK_MS > record.finished_ms else "task"
