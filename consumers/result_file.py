"""Writes the text of a result where `result:` names a file: whole or not at all, and never over another file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path


def write(target: Path, text: str) -> Path:
    """Write `text` and return where it stands: `target`, or `name (2).md` beside it when that is taken.

    A file that already holds this very text is left as it is, so that a repeat after a crash adds
    nothing. Halves of characters, which models do print, become `?`. Raises OSError.
    """
    data = text.encode("utf-8", "replace")
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name[:200]}.{os.getpid()}.part")
    try:
        with draft.open("xb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        for candidate in _names(target):
            if _place(draft, candidate, data):
                return candidate
    finally:
        draft.unlink(missing_ok=True)
    raise AssertionError("unreachable: the names never end")


def _names(target: Path) -> Iterator[Path]:
    yield target
    for number in count(2):
        yield target.with_name(f"{target.stem} ({number}){target.suffix}")


def _place(draft: Path, candidate: Path, data: bytes) -> bool:
    try:
        os.link(draft, candidate)  # atomic, and refuses to replace
    except FileExistsError:
        return candidate.is_file() and candidate.read_bytes() == data
    return True
