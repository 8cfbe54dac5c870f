"""What has been said about files that are left alone: each thing once, until it changes."""

from __future__ import annotations

import logging
from collections.abc import Collection

from producers.naming import writable
from producers.settling import Fingerprint

RETRY_S = 30.0
PATIENT_S = 10.0


class Remarks:
    """Files that are no files, and files that cannot be claimed. Seconds of a steady clock."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._said: dict[bytes, str] = {}
        self._refused: dict[bytes, tuple[Fingerprint, float]] = {}

    def odd(self, name: bytes, kind: str) -> None:
        """This entry is no regular file."""
        self._say(name, f"is {kind}, not a file; left alone")

    def written(self, name: bytes, quiet_s: float, called: str = "") -> None:
        """Somebody has this quiet file open for writing; said when that lasts."""
        if quiet_s >= PATIENT_S:
            words = "is open for writing in another program; waits until it is closed"
            self._say(name, words, called)

    def refuse(self, name: bytes, found: Fingerprint, error: OSError, now: float) -> None:
        """This file cannot be claimed; it is tried again when it changes, or after a while."""
        self._refused[name] = found, now + RETRY_S
        self._say(name, f"cannot be claimed: {error.strerror or error}; left until it can")

    def refused(self, name: bytes, found: Fingerprint, now: float) -> bool:
        """Whether it is too early to try this file again."""
        known, until = self._refused.get(name, (None, 0.0))
        return known == found and now < until

    def keep_only(self, names: Collection[bytes]) -> None:
        """Forget what was said about entries that are no longer there."""
        for known in (self._said, self._refused):
            for name in [name for name in known if name not in names]:
                del known[name]

    def _say(self, name: bytes, words: str, called: str = "") -> None:
        if self._said.get(name) != words:
            self._said[name] = words
            self._log.warning("%s %s", called or writable(name), words)
