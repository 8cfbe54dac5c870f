"""What is said about files that are left alone, in the log and in the journal: each thing once, until it changes."""

from __future__ import annotations

import logging
from collections.abc import Collection

from durable.records import Entry
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
        self._new: dict[tuple[str, str], list[str]] = {}

    def odd(self, name: bytes, kind: str) -> None:
        """This entry is no regular file, or a folder that cannot be looked into."""
        self._say(name, "ignored", f"is {kind}; left alone")

    def written(self, name: bytes, quiet_s: float, called: str = "") -> None:
        """Somebody has this quiet file open for writing; said when that lasts."""
        if quiet_s >= PATIENT_S:
            words = "is open for writing in another program; waits until it is closed"
            self._say(name, "waits", words, called)

    def refuse(self, name: bytes, found: Fingerprint, error: OSError, now: float) -> None:
        """This file cannot be claimed; it is tried again when it changes, or after a while."""
        self._refused[name] = found, now + RETRY_S
        words = f"cannot be claimed: {error.strerror or error}; left until it can"
        self._say(name, "waits", words)

    def refused(self, name: bytes, found: Fingerprint, now: float) -> bool:
        """Whether it is too early to try this file again."""
        known, until = self._refused.get(name, (None, 0.0))
        return known == found and now < until

    def keep_only(self, names: Collection[bytes]) -> None:
        """Forget what was said about entries that are no longer there."""
        for known in (self._said, self._refused):
            for name in [name for name in known if name not in names]:
                del known[name]

    def news(self, journal: str) -> list[Entry]:
        """What was said since the last call, for the journal: one entry for all of which the same is to be said."""
        new, self._new = self._new, {}
        return [_entry(journal, what, words, names) for (what, words), names in new.items()]

    def _say(self, name: bytes, what: str, words: str, called: str = "") -> None:
        if self._said.get(name) != words:
            self._said[name] = words
            called = called or writable(name)
            self._log.warning("%s %s", called, words)
            self._new.setdefault((what, words), []).append(called)


def _entry(journal: str, what: str, words: str, names: Collection[str]) -> Entry:
    first, *more = sorted(names)
    return Entry(
        journal=journal,
        what=what,
        about=first,
        until=more[-1] if more else "",
        count=len(names),
        why=f"it {words}",
    )
