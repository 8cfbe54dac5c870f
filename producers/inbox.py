"""What lies in a watched folder right now. Looks, and changes nothing."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

from producers.settling import Fingerprint, fingerprint, odd_kind

#: Where claimed files live, inside the watched folder so that a rename reaches it.
CLAIMED = b".claimed"


@dataclass
class Scan:
    """Regular files with their fingerprints, and what is there but never becomes a task."""

    files: dict[bytes, Fingerprint] = field(default_factory=dict)
    odd: dict[bytes, str] = field(default_factory=dict)


def scan(
    root: bytes, wants: Callable[[bytes], bool], *, recursive: bool, leave: Collection[bytes] = ()
) -> Scan:
    """Look at `root`; names are relative to it, byte for byte. Nothing is followed or opened.

    `leave` are folders (absolute) not to look into, such as Done. Raises OSError when `root` itself
    cannot be listed.
    """
    found = Scan()
    folders = [b""]
    while folders:
        folder = folders.pop()
        for name, entry in _entries(root, folder, found):
            _note(found, folders, name, entry, wants, recursive, leave)
    return found


def _entries(root: bytes, folder: bytes, found: Scan) -> Iterator[tuple[bytes, os.DirEntry[bytes]]]:
    try:
        with os.scandir(os.path.join(root, folder)) as entries:
            for entry in entries:
                yield os.path.join(folder, entry.name), entry
    except OSError as error:
        if not folder:
            raise
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):  # those have gone meanwhile
            found.odd[folder] = f"a folder that cannot be looked into ({error.strerror})"


def _note(
    found: Scan,
    folders: list[bytes],
    name: bytes,
    entry: os.DirEntry[bytes],
    wants: Callable[[bytes], bool],
    recursive: bool,
    leave: Collection[bytes],
) -> None:
    is_folder = entry.is_dir(follow_symlinks=False)
    if entry.name.startswith(b".") or (is_folder and entry.path in leave):
        return
    if is_folder and recursive:
        folders.append(name)
    elif is_folder or wants(name):
        _note_file(found, name, entry)


def _note_file(found: Scan, name: bytes, entry: os.DirEntry[bytes]) -> None:
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return  # gone between listing and looking
    if kind := odd_kind(status.st_mode):
        found.odd[name] = kind
    else:
        found.files[name] = fingerprint(status)
