"""What a folder lies on: its mount, from proc(5), and what the file system there can tell of changes.

Only Linux says so; elsewhere nothing is known, and nothing is concluded from it.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import NamedTuple

#: Where the kernel hears nothing of what other machines, or the other side of a virtual one, write.
#: A plain `fuse` is such a one, too (davfs2, s3fs …); `fuseblk` is a local disk (ntfs-3g, exfat).
_REMOTE = re.compile(
    r"(nfs4?|cifs|smb\w*|ncpfs|afs|ceph|coda|lustre|gpfs|beegfs|glusterfs|orangefs|pvfs2|ocfs2|gfs2|davfs"
    r"|fuse(\..*)?|9p|v9fs|drvfs|wslfs|virtiofs|vboxsf|prl_fs|vmhgfs|fakeowner|osxfs|acfs)"
)
_OCTAL = re.compile(rb"\\([0-7]{3})")


class Mount(NamedTuple):
    """One mount: where it hangs, the type of its file system, and what is mounted there."""

    point: str
    kind: str
    source: str

    def holds(self, other: Mount) -> bool:
        """Whether the other hangs somewhere below this one: it is seen here when that is not mounted."""
        return other.point != self.point and other.point.startswith(self.point.rstrip("/") + "/")


def of(descriptor: int) -> Mount | None:
    """The mount that an open folder lies on; None where the system does not say."""
    with contextlib.suppress(OSError):
        told = Path(f"/proc/self/fdinfo/{descriptor}").read_bytes()
        return named(mount_id(told), Path("/proc/self/mountinfo").read_bytes())
    return None


def mount_id(fdinfo: bytes) -> bytes:
    """The number of the mount, of a descriptor's fdinfo; empty where there is none."""
    rows = (line.split() for line in fdinfo.splitlines())
    return next((row[1] for row in rows if row[:1] == [b"mnt_id:"] and len(row) > 1), b"")


def named(number: bytes, mountinfo: bytes) -> Mount | None:
    """The mount of this number in a mountinfo; None when it is not there."""
    for line in mountinfo.splitlines():
        left, _, right = line.partition(b" - ")
        fields, told = left.split(b" "), right.split(b" ")
        if fields[0] == number and len(fields) > 4 and len(told) > 1:
            return Mount(_plain(fields[4]), _plain(told[0]), _plain(told[1]))
    return None


def is_remote(kind: str) -> bool:
    """Whether file events of such a file system do not tell of every change."""
    return _REMOTE.fullmatch(kind) is not None


def _plain(field: bytes) -> str:
    """A field without the kernel's escapes for space, tab, newline and backslash."""
    return os.fsdecode(_OCTAL.sub(lambda found: bytes([int(found[1], 8)]), field))
