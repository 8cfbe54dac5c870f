"""Folders of attempts stay within their size, and never one that is still needed goes."""

import fcntl
import os
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from consumers import retention
from consumers.retention import RESUMABLE_MS, Retention
from durable.records import Lease, State, Submission
from durable.store import LeaseStore
from settings import Duration, Settings, Size, load
from tests.conftest import ROOT

KB = 1024
#: What one attempt takes here.
EACH = 400 * KB


def settings_in(folder: Path, **more: Any) -> Settings:
    environ = {"PATH": "", "HOME": "/", "BATON_VAR": str(folder / "var")}
    return msgspec.structs.replace(load(ROOT / "baton.example.yaml", environ), **more)


def attempt(folder: Path, task_id: str, number: int = 1) -> Path:
    made = folder / "var" / "attempts" / task_id / str(number)
    made.mkdir(parents=True)
    (made / "stream.jsonl").write_bytes(os.urandom(EACH))
    return made


def end(store: LeaseStore, task_id: str, state: State = State.SUCCEEDED, ago_ms: int = 0) -> None:
    store.submit([Submission(id=task_id, body=b"{}")])
    lease = store.claim("me", task_id, ("default",), 30_000)
    assert isinstance(lease, Lease)
    store.settle(lease, state, outcome=str(state))
    if ago_ms:
        finished = store.now_ms() - ago_ms
        store.client.hset(f"{store.prefix}task:{task_id}", "finished_ms", finished)


def sweep(store: LeaseStore, folder: Path, **more: Any) -> set[str]:
    """A whole sweep; the tasks whose folders are there then."""
    own = Retention(settings_in(folder, **more), store)
    own.step()
    while own._work:
        own.step()
    return {path.name for path in (folder / "var" / "attempts").iterdir()}


def test_the_oldest_finished_tasks_go_until_the_rest_fits(
    store: LeaseStore, tmp_path: Path
) -> None:
    for number in range(5):
        attempt(tmp_path, f"t{number}")
        end(store, f"t{number}", ago_ms=10_000 - number)
    everything = {"t0", "t1", "t2", "t3", "t4"}
    assert sweep(store, tmp_path) == everything
    assert sweep(store, tmp_path, attempts_max_size=Size(3.5 * EACH)) == {"t2", "t3", "t4"}
    assert sweep(store, tmp_path, attempts_max_size=Size(3.5 * EACH)) == {"t2", "t3", "t4"}


def test_what_runs_or_waits_or_may_be_resumed_stays(store: LeaseStore, tmp_path: Path) -> None:
    for name in ("failed", "old-failure", "queued", "held", "scheduled", "running"):
        attempt(tmp_path, name)
    end(store, "failed", State.FAILED)
    end(store, "old-failure", State.FAILED, ago_ms=RESUMABLE_MS + 60_000)
    store.submit([Submission(id="running", body=b"{}")])
    store.claim("me", "n", ("default",), 30_000)
    store.submit([Submission(id=name, body=b"{}") for name in ("queued", "held")])
    store.submit([Submission(id="scheduled", body=b"{}", due_ms=store.now_ms() + 9_000)])
    store.hold("held", "a person looks")
    left = sweep(store, tmp_path, attempts_max_size=Size(1))
    assert left == {"failed", "queued", "held", "scheduled", "running"}


@pytest.mark.parametrize("part", ["", "verify"])
def test_a_run_that_lives_keeps_its_folder_although_its_task_was_written_off(
    store: LeaseStore, tmp_path: Path, part: str
) -> None:
    first, second = attempt(tmp_path, "t", 1), attempt(tmp_path, "t", 2)
    end(store, "t")
    (second / part).mkdir(exist_ok=True)
    with (second / part / "runner.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sweep(store, tmp_path, attempts_max_size=Size(1))
        assert not first.exists()
        assert second.exists()
    sweep(store, tmp_path, attempts_max_size=Size(1))
    assert not second.parent.exists()


def test_a_task_that_is_sent_back_before_its_turn_keeps_its_folder(
    store: LeaseStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "STEP_S", 0.0)  # a piece of work at a time
    attempt(tmp_path, "t")
    end(store, "t", State.FAILED, ago_ms=RESUMABLE_MS + 60_000)
    own = Retention(settings_in(tmp_path, attempts_max_size=Size(1)), store)
    own.step()  # it is found old and too much
    store.requeue("t")
    while own._work:
        own.step()
    assert (tmp_path / "var" / "attempts" / "t" / "1").exists()


def test_a_folder_whose_task_is_not_known_goes_when_its_time_has_come(
    store: LeaseStore, tmp_path: Path
) -> None:
    for name in ("young", "old"):
        attempt(tmp_path, name)
    (tmp_path / "var" / "attempts" / "a file").touch()
    (tmp_path / "var" / "attempts" / "link").symlink_to(tmp_path)
    long_ago = time.time() - 31 * 86_400
    for path in (
        tmp_path / "var" / "attempts" / "old",
        tmp_path / "var" / "attempts" / "old" / "1",
    ):
        os.utime(path, (long_ago, long_ago))
    assert sweep(store, tmp_path) == {"young", "a file", "link"}
    assert sweep(store, tmp_path, keep_finished=Duration(0.001)) == {"a file", "link"}
    assert tmp_path.exists()


def test_of_several_consumers_one_sweeps(store: LeaseStore, tmp_path: Path) -> None:
    attempt(tmp_path, "t")
    end(store, "t")
    (tmp_path / "var" / "attempts.lock").touch()
    with (tmp_path / "var" / "attempts.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert sweep(store, tmp_path, attempts_max_size=Size(1)) == {"t"}
    assert sweep(store, tmp_path, attempts_max_size=Size(1)) == set()


def test_the_work_is_cut_into_steps_and_begins_again_only_after_a_while(
    store: LeaseStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "STEP_S", 0.0)
    for number in range(30):
        (tmp_path / "var" / "attempts" / f"t{number}" / "1").mkdir(parents=True)
    own, steps = Retention(settings_in(tmp_path), store), 1
    own.step()
    while own._work:
        own.step()
        steps += 1
    assert steps == 31  # one folder each
    own.step()
    assert own._work is None
