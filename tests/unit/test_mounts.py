"""What a folder lies on, read from proc(5), and whose events are to be trusted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from producers import mounts
from producers.mounts import Mount
from producers.residence import Residence, UnmountedError

MOUNTINFO = rb"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 27 0:40 / /mnt/my\040disk rw,nosuid shared:4 master:2 - fuseblk /dev/sdb1 rw
41 27 0:41 /sub /mnt/nas rw - nfs4 nas:/export\134a rw,vers=4.2
42 27 0:42 / /mnt/nas rw - tmpfs none rw
"""
NAS = Mount("/mnt/nas", "nfs4", "nas:/export")
ROOT = Mount("/", "ext4", "/dev/vda")


@pytest.mark.parametrize(
    ("number", "found"),
    [
        (b"27", ROOT),
        (b"40", Mount("/mnt/my disk", "fuseblk", "/dev/sdb1")),
        (b"41", Mount("/mnt/nas", "nfs4", r"nas:/export\a")),
        (b"42", Mount("/mnt/nas", "tmpfs", "none")),
        (b"4", None),
        (b"", None),
    ],
)
def test_a_mount_is_found_by_its_number(number: bytes, found: Mount | None) -> None:
    assert mounts.named(number, MOUNTINFO) == found


@pytest.mark.parametrize(
    ("fdinfo", "number"),
    [(b"pos:\t0\nflags:\t0100000\nmnt_id:\t27\nino:\t3\n", b"27"), (b"pos:\t0\n", b""), (b"", b"")],
)
def test_the_number_of_a_mount_stands_in_fdinfo(fdinfo: bytes, number: bytes) -> None:
    assert mounts.mount_id(fdinfo) == number


@pytest.mark.parametrize(
    "kind",
    [
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "v9fs", "drvfs", "virtiofs", "vboxsf"),
        *("fuse", "fuse.sshfs", "fuse.rclone", "fuse.glusterfs", "fuse.vmhgfs-fuse", "ceph"),
        *("fakeowner", "afs", "ocfs2", "lustre"),
    ],
)
def test_events_are_not_trusted_where_others_write(kind: str) -> None:
    assert mounts.is_remote(kind)


@pytest.mark.parametrize(
    "kind",
    [
        *("ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "vfat", "exfat", "ntfs3", "fuseblk"),
        *("f2fs", "ecryptfs", "bcachefs", "apfs", "nfsd", ""),
    ],
)
def test_events_are_trusted_where_only_this_machine_writes(kind: str) -> None:
    assert not mounts.is_remote(kind)


def test_the_mount_of_an_open_folder_is_known(tmp_path: Path) -> None:
    if not Path("/proc/self/mountinfo").exists():
        pytest.skip("this system does not tell of mounts")
    for path, kind in ((tmp_path, None), (Path("/proc/self"), "proc")):
        descriptor = os.open(path, os.O_RDONLY)
        found = mounts.of(descriptor)
        os.close(descriptor)
        assert found
        assert str(path).startswith(found.point)
        assert kind in (None, found.kind)


@pytest.mark.parametrize(
    ("known", "now", "away"),
    [
        (NAS, ROOT, True),
        (NAS, Mount("/mnt", "ext4", "/dev/vdb"), True),
        (NAS, NAS, False),
        (NAS, Mount("/mnt/nas", "cifs", "//nas/export"), False),  # another share in its place
        (ROOT, NAS, False),  # mounted later
        (NAS, Mount("/mnt/na", "ext4", "/dev/vdb"), False),
        (NAS, Mount("/srv/nas", "ext4", "/dev/vdb"), False),  # the path leads elsewhere now
        (NAS, None, False),  # a system that does not say
    ],
)
def test_a_folder_below_the_mount_that_it_was_in_is_not_that_folder(
    tmp_path: Path, known: Mount, now: Mount | None, away: bool
) -> None:
    file = tmp_path / "watchers" / "inbox.json"
    Residence(file, Path("/mnt/nas/Inbox")).keep(known)
    later = Residence(file, Path("/mnt/nas/Inbox"))
    if away:
        with pytest.raises(UnmountedError, match=r"nas:/export \(nfs4\).*rm .*inbox.json"):
            later.check(now)
    else:
        later.check(now)


def test_another_path_of_the_same_watcher_begins_anew(tmp_path: Path) -> None:
    file = tmp_path / "inbox.json"
    Residence(file, Path("/mnt/nas/Inbox")).keep(NAS)
    Residence(file, Path("/home/me/Inbox")).check(ROOT)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"folder": "/mnt/nas/Inbox"}'])
def test_a_note_that_cannot_be_read_says_nothing(tmp_path: Path, text: str) -> None:
    file = tmp_path / "inbox.json"
    file.write_text(text)
    Residence(file, Path("/mnt/nas/Inbox")).check(ROOT)
