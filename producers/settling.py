"""Which files are ready: quiet for long enough, and of a kind and name that count. Pure."""

from __future__ import annotations

import fnmatch
import os
import re
import stat
from collections.abc import Iterable, Mapping
from typing import NamedTuple

#: What writers leave while they write, and what file managers leave for themselves.
ALWAYS_IGNORED = (
    *("*.part", "*.tmp", "*.crdownload", "*.filepart", "*.swp"),
    *("~$*", ".DS_Store", "Thumbs.db", "desktop.ini"),
)

_KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)


class Fingerprint(NamedTuple):
    """What changes when a file does. Never an identity: inodes are used again at once."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    def same_content(self, later: Fingerprint) -> bool:
        """Whether only a rename lies between the two (it moves ctime)."""
        return self[:4] == later[:4]


def fingerprint(found: os.stat_result) -> Fingerprint:
    """The fingerprint of what lstat found."""
    return Fingerprint(
        found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
    )


def odd_kind(mode: int) -> str:
    """What a directory entry is when it is no regular file; "" when it is one."""
    if stat.S_ISREG(mode):
        return ""
    return next((words for is_kind, words in _KINDS if is_kind(mode)), "no regular file")


class Sighting(NamedTuple):
    """A file as it was seen, and since when it has looked like that (s, steady clock)."""

    fingerprint: Fingerprint
    since: float


class Settled(NamedTuple):
    """What a look at the folder makes of earlier sightings."""

    sightings: dict[bytes, Sighting]  # of every file there is
    ready: list[bytes]  # those quiet for long enough, the longest first
    due: float | None  # when the next one can be, if nothing changes


def settle(
    before: Mapping[bytes, Sighting],
    seen: Mapping[bytes, Fingerprint],
    now: float,
    quiet_s: float,
) -> Settled:
    """Compare a scan with what was seen before. A changed file begins its quiet time anew."""
    sightings: dict[bytes, Sighting] = {}
    for name, found in seen.items():
        known = before.get(name)
        unchanged = known is not None and known.fingerprint == found and known.since <= now
        sightings[name] = known if known is not None and unchanged else Sighting(found, now)
    quiet_since = now - quiet_s
    ready = [name for name, sight in sightings.items() if sight.since <= quiet_since]
    ready.sort(key=lambda name: (sightings[name].since, name))
    pending = [sight.since for sight in sightings.values() if sight.since > quiet_since]
    return Settled(sightings, ready, min(pending) + quiet_s if pending else None)


class NameFilter:
    """Which names count: shell patterns on the file's name, and on its path below the folder."""

    def __init__(self, include: Iterable[str] = (), ignore: Iterable[str] = ()) -> None:
        self._ignored = _one_of((*ALWAYS_IGNORED, *ignore), re.IGNORECASE)
        self._included = _one_of(include)

    def wants(self, path: bytes) -> bool:
        """Whether a file of this path below the folder becomes a task. Hidden ones never do."""
        shown = os.fsdecode(path)
        name = shown.rpartition("/")[2]
        if name.startswith("."):
            return False
        if self._ignored and (self._ignored.match(name) or self._ignored.match(shown)):
            return False
        return not self._included or bool(self._included.match(name) or self._included.match(shown))


def _one_of(patterns: Iterable[str], flags: int = 0) -> re.Pattern[str] | None:
    parts = [fnmatch.translate(pattern) for pattern in patterns]
    return re.compile("|".join(parts), flags) if parts else None
