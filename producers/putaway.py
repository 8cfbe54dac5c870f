"""Moving a file without ever writing over another one, also into another file system."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat

from producers.naming import numbered

#: File systems without hard links (FAT, some network ones) answer one of these.
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES)


def put_away(source: bytes, folder: bytes, name: bytes, tag: str) -> bytes:
    """Move `source` into `folder` as `name`, or `name (2)` and so on where that is taken.

    `tag` names the copy that another file system needs; the same move done again after a crash
    finishes it and does not double the file. Returns the new path. Raises OSError.
    """
    target = os.path.join(folder, name)
    folder, name = os.path.split(target)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    try:
        placed = _place(source, folder, name)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return _move_across(source, folder, name, tag)
    sync_folder(folder)
    _remove(source)
    return placed


def give_back(source: bytes, target: bytes) -> bool:
    """Move `source`, of whatever kind, back to `target` unless that is taken; whether it moved."""
    if os.path.lexists(target):
        return False
    if not stat.S_ISREG(os.lstat(source).st_mode):
        os.rename(source, target)  # folders and pipes cannot be linked
        return True
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.rename(source, target)
        return True
    os.unlink(source)
    return True


def sync_folder(folder: bytes) -> None:
    """Bring a folder's entries to the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems sync no folders
            raise
    finally:
        os.close(descriptor)


def _place(source: bytes, folder: bytes, name: bytes) -> bytes:
    """Give `source` a second name in `folder`, or move it there where links cannot be had."""
    for candidate in numbered(name):
        target = os.path.join(folder, candidate)
        try:
            os.link(source, target, follow_symlinks=False)
            return target
        except FileExistsError:
            if os.path.samefile(source, target):
                return target  # linked before a crash
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if _reserve_and_replace(source, target):
                return target
    raise AssertionError("there is always a next number")


def _reserve_and_replace(source: bytes, target: bytes) -> bool:
    """Without links: create the name exclusively, then replace that empty file of our own."""
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    try:
        os.replace(source, target)
    except OSError:
        os.unlink(target)
        raise
    return True


def _move_across(source: bytes, folder: bytes, name: bytes, tag: str) -> bytes:
    copy = os.path.join(folder, f".{tag}.part".encode())
    if not _was_placed(copy):
        _copy(source, copy)
    placed = _place(copy, folder, name)
    sync_folder(folder)
    _remove(source)
    _remove(copy)
    return placed


def _was_placed(copy: bytes) -> bool:
    """Whether a copy of before a crash is complete: it has its second name already."""
    try:
        return os.lstat(copy).st_nlink > 1
    except FileNotFoundError:
        return False


def _copy(source: bytes, target: bytes) -> None:
    _remove(target)
    before = os.lstat(source)
    try:
        shutil.copyfile(source, target, follow_symlinks=False)
        after = os.lstat(source)
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise OSError(errno.EAGAIN, "it changed while it was copied")
        shutil.copystat(source, target, follow_symlinks=False)
        with open(target, "rb") as file:
            os.fsync(file.fileno())
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(target)
        raise


def _remove(path: bytes) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
