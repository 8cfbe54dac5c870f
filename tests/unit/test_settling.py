"""When a file is ready: the rule of quiet time, as a table, and which names count."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from producers.inbox import scan
from producers.naming import numbered, writable
from producers.settling import Fingerprint, NameFilter, Settled, Sighting, settle

A = Fingerprint(1, 10, 5, 1000, 1000)
GROWN = A._replace(size=6, mtime_ns=1001, ctime_ns=1001)
TOUCHED = A._replace(ctime_ns=1002)
REPLACED = A._replace(inode=11)


@pytest.mark.parametrize(
    ("known", "found", "now", "quiet_s", "ready", "due"),
    [
        (None, A, 100.0, 2.0, False, 102.0),  # new: its quiet time begins
        (None, A, 100.0, 0.0, True, None),  # settle: 0 takes it at once
        (Sighting(A, 100.0), A, 101.0, 2.0, False, 102.0),
        (Sighting(A, 100.0), A, 102.0, 2.0, True, None),
        (Sighting(A, 100.0), GROWN, 102.0, 2.0, False, 104.0),
        (Sighting(A, 100.0), TOUCHED, 102.0, 2.0, False, 104.0),
        (Sighting(A, 100.0), REPLACED, 102.0, 2.0, False, 104.0),
        (Sighting(A, 100.0), A, 50.0, 2.0, False, 52.0),  # another clock: begins anew
    ],
)
def test_a_file_is_ready_when_it_was_quiet_for_long_enough(
    known: Sighting | None,
    found: Fingerprint,
    now: float,
    quiet_s: float,
    ready: bool,
    due: float | None,
) -> None:
    before = {b"a": known} if known else {}
    settled = settle(before, {b"a": found}, now, quiet_s)
    assert settled.ready == ([b"a"] if ready else [])
    assert settled.due == due


def test_a_file_that_has_gone_is_forgotten() -> None:
    assert settle({b"a": Sighting(A, 1.0)}, {}, 9.0, 2.0) == Settled({}, [], None)


def test_the_file_that_waited_longest_comes_first() -> None:
    before = {b"b": Sighting(A, 1.0), b"a": Sighting(A, 2.0)}
    assert settle(before, {b"a": A, b"b": A}, 9.0, 2.0).ready == [b"b", b"a"]


def test_a_rename_moves_nothing_but_the_change_time() -> None:
    assert A.same_content(TOUCHED)
    assert not A.same_content(GROWN)
    assert not A.same_content(REPLACED)


@pytest.mark.parametrize(
    "name",
    [
        *("movie.part", "x.tmp", "x.crdownload", "x.filepart", "x.swp", "~$letter.docx"),
        *(".DS_Store", "Thumbs.db", "THUMBS.DB", "desktop.ini", ".hidden", "x.bak", "old/x.txt"),
    ],
)
def test_names_of_unfinished_and_hidden_files_are_ignored(name: str) -> None:
    names = NameFilter(ignore=["*.bak", "old/*"])
    assert not names.wants(name.encode())


@pytest.mark.parametrize(
    "name", [b"a.txt", b"-rf", b" ", b"a\nb", b"\xff\xfe.bin", b"part", b"a b'c\"d"]
)
def test_any_other_name_counts(name: bytes) -> None:
    assert NameFilter().wants(name)


def test_include_lets_only_its_patterns_in() -> None:
    names = NameFilter(include=["*.pdf", "letters/*"])
    assert names.wants(b"a.pdf")
    assert names.wants(b"sub/a.pdf")
    assert names.wants(b"letters/x.txt")
    assert not names.wants(b"a.txt")


def test_only_regular_files_are_found_and_nothing_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "dangling").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / ".claimed").mkdir()
    (tmp_path / ".hidden").touch()
    (tmp_path / "x.part").touch()
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(tmp_path)  # a socket's path is short
        server.bind("socket")
    found = scan(os.fsencode(tmp_path), NameFilter().wants, recursive=False)
    assert set(found.files) == {b"file", b"empty"}
    assert found.odd == {
        b"folder": "a folder",
        b"link": "a symbolic link",
        b"dangling": "a symbolic link",
        b"pipe": "a named pipe",
        b"socket": "a socket",
    }


def test_folders_below_are_searched_only_when_asked_and_never_done_or_links(tmp_path: Path) -> None:
    for folder in ("sub/deep", "Done", ".claimed/x"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "file").touch()
    (tmp_path / "linked").symlink_to(tmp_path / "sub")
    root = os.fsencode(tmp_path)
    leave = {os.path.join(root, b"Done")}
    assert set(scan(root, NameFilter().wants, recursive=True, leave=leave).files) == {
        b"sub/deep/file"
    }
    assert not scan(root, NameFilter().wants, recursive=False, leave=leave).files


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"plain.txt", "plain.txt"),
        ("überraschung 🎉.md".encode(), "überraschung 🎉.md"),
        (b"--help; rm -rf 'x' \"y\" $(z) `w`", "--help; rm -rf 'x' \"y\" $(z) `w`"),
        (b"caf\xe9.txt", "caf%E9.txt"),
        (b"two\nlines\r.txt", "two%0Alines%0D.txt"),
        ("a\u2028b".encode(), "a%E2%80%A8b"),
        (b"100%", "100%"),
    ],
)
def test_a_name_becomes_writable_in_a_prompt(name: bytes, shown: str) -> None:
    assert writable(name) == shown


def test_a_written_out_name_is_no_longer_than_a_name_may_be() -> None:
    name = writable(b"\xff" * 250 + b".txt")
    assert len(name.encode()) <= 255
    assert name.endswith(".txt")


def test_numbers_stand_before_the_suffix_and_fit() -> None:
    names = numbered(b"report.pdf")
    assert [next(names) for _ in range(3)] == [b"report.pdf", b"report (2).pdf", b"report (3).pdf"]
    long = numbered(b"x" * 251 + b".txt")
    next(long)
    assert len(next(long)) == 255
