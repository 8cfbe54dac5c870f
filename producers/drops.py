"""What is told about a dropped file: the variables of a watcher's templates."""

from __future__ import annotations

import datetime as dt
import mimetypes
import os
from collections.abc import Collection

from producers.notes import Claim
from producers.recipe import Occasion
from producers.templates import Absent, Foreign, OwnPath

#: `text` is there for files up to this size; a larger one is for Claude to read from `path`.
TEXT_LIMIT = 64 * 1024
VARIABLES = ("path", "name", "size", "mime", "sha256", "text", "now")


def occasion(claim: Claim, uses: Collection[str] = VARIABLES) -> Occasion:
    """The drop of a claimed file, with the variables in `uses`. Raises OSError if it is unreadable."""
    path = os.fsdecode(claim.path)
    facts: dict[str, object] = {
        "name": claim.file_name,
        "size": claim.given.size if claim.given else os.lstat(claim.path).st_size,
        "mime": mimetypes.guess_type(claim.file_name)[0] or "application/octet-stream",
        "sha256": claim.sha256,
    }
    values = {**facts, "path": OwnPath(path)}
    if "now" in uses:
        values["now"] = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    if "text" in uses:
        values["text"] = _text(claim.path)
    context = {**facts, "path": path}
    if claim.again:
        context |= {"again": claim.again, "after": claim.after}
    return Occasion(claim.id, f"drop:{claim.id}", values, args=(path,), context=context)


def _text(path: bytes) -> str | Absent:
    """The file's text where it is small and UTF-8."""
    with open(path, "rb") as file:
        data = file.read(TEXT_LIMIT + 1)
    if len(data) > TEXT_LIMIT:
        return Absent(f"the file is larger than {TEXT_LIMIT // 1024} KiB; use path")
    try:
        return Foreign(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return Absent("the file is no UTF-8 text; use path")
