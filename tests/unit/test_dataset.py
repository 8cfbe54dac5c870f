import json
from pathlib import Path
from typing import Any

import fakeredis
import pytest

from durable import dataset, versions
from durable.errors import ServerError
from durable.records import Lease, Submission
from durable.store import LeaseStore

URL = "redis://somewhere"


def other_server() -> LeaseStore:
    return LeaseStore(fakeredis.FakeRedis(server_type="valkey"), "{test}:")


def work(store: LeaseStore) -> None:
    store.submit([Submission(id="a", body=b"{}")])
    assert isinstance(store.claim("me", "n", ["default"], 1000), Lease)


def test_the_first_use_names_the_data_and_later_ones_find_them(
    store: LeaseStore, tmp_path: Path
) -> None:
    dataset.bind(store, tmp_path, URL)
    work(store)
    dataset.bind(store, tmp_path, URL)
    assert json.loads((tmp_path / "dataset.json").read_text())["token"] == 1


def test_several_processes_at_once_agree_on_a_name(store: LeaseStore, tmp_path: Path) -> None:
    for name in ("one", "two"):
        dataset.bind(store, tmp_path / name, URL)
    ids = {json.loads((tmp_path / n / "dataset.json").read_text())["id"] for n in ("one", "two")}
    assert len(ids) == 1


def test_an_empty_server_is_refused_and_stays_empty(store: LeaseStore, tmp_path: Path) -> None:
    dataset.bind(store, tmp_path, URL)
    empty = other_server()
    with pytest.raises(ServerError, match=r"are empty.*dataset\.json"):
        dataset.bind(empty, tmp_path, URL)
    assert empty.client.dbsize() == 0


def test_data_of_another_folder_are_refused(store: LeaseStore, tmp_path: Path) -> None:
    dataset.bind(store, tmp_path / "ours", URL)
    foreign = other_server()
    dataset.bind(foreign, tmp_path / "theirs", URL)
    with pytest.raises(ServerError, match="belong to another"):
        dataset.bind(foreign, tmp_path / "ours", URL)


def test_an_older_copy_is_refused(store: LeaseStore, tmp_path: Path) -> None:
    dataset.bind(store, tmp_path, URL)
    copy: Any = store.client.hget("{test}:dataset", "id")
    work(store)
    dataset.bind(store, tmp_path, URL)
    restored = other_server()
    restored.client.hset("{test}:dataset", mapping={"id": copy, "format": 1})
    with pytest.raises(ServerError, match="older copy"):
        dataset.bind(restored, tmp_path, URL)


def test_a_newer_format_is_refused(store: LeaseStore, tmp_path: Path) -> None:
    store.client.hset("{test}:dataset", mapping={"id": "x", "format": versions.FORMAT + 1})
    with pytest.raises(ServerError, match="newer Baton"):
        dataset.bind(store, tmp_path, URL)


def test_an_older_format_becomes_this_one_when_the_data_are_ours(
    store: LeaseStore, tmp_path: Path
) -> None:
    store.client.hset("{test}:dataset", mapping={"id": "x", "format": 1})
    dataset.bind(store, tmp_path, URL)
    assert store.dataset("", 0)[1] == versions.FORMAT


def test_data_of_another_folder_keep_their_format(store: LeaseStore, tmp_path: Path) -> None:
    dataset.bind(other_server(), tmp_path, URL)
    store.client.hset("{test}:dataset", mapping={"id": "theirs", "format": 1})
    with pytest.raises(ServerError, match="belong to another"):
        dataset.bind(store, tmp_path, URL)
    assert store.dataset("", 0)[1] == 1
