import threading
import time
from pathlib import Path
from typing import Any

import pytest

import settings as types
from consumers import housekeeper
from durable.queue import BatonHuey
from durable.records import Lease, State, Submission
from settings import Duration, load
from tests.conftest import ROOT


def settings_in(folder: Path, **more: Any) -> types.Settings:
    import msgspec

    config = ROOT / "baton.example.yaml"
    found = load(config, {"PATH": "", "HOME": "/", "BATON_VAR": str(folder / "var")})
    return msgspec.structs.replace(found, **more)


def finish_one(huey: BatonHuey, task_id: str) -> None:
    huey.store.submit([Submission(id=task_id, body=b"{}")])
    lease = huey.store.claim("me", task_id, ("default",), 30_000)
    assert isinstance(lease, Lease)
    huey.store.settle(lease, State.SUCCEEDED, outcome="succeeded")


def test_an_old_record_goes_with_the_folders_of_its_attempts(
    huey: BatonHuey, tmp_path: Path
) -> None:
    finish_one(huey, "old")
    folder = tmp_path / "var" / "attempts" / "old" / "1"
    folder.mkdir(parents=True)
    assert housekeeper.prune(huey.store, settings_in(tmp_path)) == 0
    time.sleep(0.002)
    assert housekeeper.prune(huey.store, settings_in(tmp_path, keep_finished=Duration(0.001))) == 1
    assert huey.store.record("old") is None
    assert not folder.parent.exists()


@pytest.mark.parametrize("task_id", ["..", "../precious", "a/../../precious", "."])
def test_an_id_of_a_foreign_hand_removes_nothing_else(
    huey: BatonHuey, tmp_path: Path, task_id: str
) -> None:
    precious = tmp_path / "var" / "precious"
    precious.mkdir(parents=True)
    (tmp_path / "var" / "attempts" / "a").mkdir(parents=True)
    finish_one(huey, task_id)
    time.sleep(0.002)
    housekeeper.prune(huey.store, settings_in(tmp_path, keep_finished=Duration(0.001)))
    assert precious.exists()
    assert (tmp_path / "var" / "attempts" / "a").exists()


def test_it_mends_and_prunes_from_time_to_time(
    huey: BatonHuey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeper, "TIDY_S", 0.0)
    huey.store.submit([Submission(id="lost", body=b"{}")])
    huey.storage.client.delete("{test}:ready:default:python")
    stop = threading.Event()
    stop.set()  # one round, without its pause
    housekeeper.Housekeeper(huey, stop, settings_in(tmp_path)).loop()
    assert isinstance(huey.store.claim("me", "n", ("default",), 1000), Lease)
