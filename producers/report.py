"""What a producer is at right now, in a small file of `var` that `status` reads. Not the truth, and not synced."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: A burst changes it all the time; a person looks once.
EVERY_S = 1.0


def file_of(var: Path, source: str) -> Path:
    """Where the report of `watcher:inbox`, `poller:news` or `scheduler` is."""
    return var / "producers" / f"{source.replace(':', '-')}.json"


def read(file: Path) -> dict[str, Any]:
    """What was reported last; empty when nothing was, or nothing that can be read."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(file.read_bytes())
        return found if isinstance(found, dict) else {}
    return {}


class Report:
    """The report of one producer; without a file nothing is written."""

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self.before = read(file) if file else {}  # by an earlier process
        self._written: Mapping[str, Any] | None = None
        self._at = float("-inf")

    def write(self, facts: Mapping[str, Any], now: float) -> float | None:
        """Write what has changed; when to come again, on the same steady clock, where it is too early for that."""
        if self.file is None or facts == self._written:
            return None
        if now < self._at + EVERY_S:
            return self._at + EVERY_S
        self._written, self._at = facts, now
        try:
            self.file.parent.mkdir(mode=0o700, exist_ok=True)
            draft = self.file.with_suffix(f".{os.getpid()}")
            draft.write_text(json.dumps(facts))
            draft.replace(self.file)
        except OSError as error:  # a full disk stops nothing here
            import logging

            logging.getLogger(__name__).warning(
                "%s cannot be written: %s", self.file, error.strerror or error
            )
        return None
