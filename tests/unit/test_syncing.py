"""Many folders brought to the disk at once: by one call where there is one, else one by one."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from producers import syncing


@pytest.fixture
def folders(tmp_path: Path) -> list[bytes]:
    made = [tmp_path / str(number) for number in range(syncing.MANY)]
    for folder in made:
        folder.mkdir()
    return [os.fsencode(folder) for folder in made]


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    synced: list[bytes] = []
    monkeypatch.setattr(syncing, "sync_folder", synced.append)
    return synced


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="syncfs is Linux's")
def test_many_folders_are_synced_by_one_call(folders: list[bytes], one_by_one: list[bytes]) -> None:
    syncing.sync_folders(folders)
    assert one_by_one == []


def test_a_few_are_synced_one_by_one(folders: list[bytes], one_by_one: list[bytes]) -> None:
    syncing.sync_folders(folders[1:])
    assert one_by_one == folders[1:]


@pytest.mark.parametrize("missing", ["darwin", "a kernel that refuses"])
def test_where_there_is_no_such_call_each_folder_is_synced(
    folders: list[bytes],
    one_by_one: list[bytes],
    missing: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if missing == "darwin":
        monkeypatch.setattr(sys, "platform", missing)
    else:
        monkeypatch.setattr(syncing, "_sync_whole", lambda folder: False)
    syncing.sync_folders(folders)
    assert one_by_one == folders


def test_a_folder_that_is_gone_is_an_error(folders: list[bytes]) -> None:
    os.rmdir(folders[-1])
    with pytest.raises(FileNotFoundError):
        syncing.sync_folders(folders)
