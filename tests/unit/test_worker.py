"""The worker's loop: one trip ends a task and claims the next, and a stop leaves nothing in hand."""

import threading
from pathlib import Path
from typing import Any

import pytest

from consumers.adoption import Adoption
from consumers.consumer import LeaseWorker
from consumers.draining import Mark
from consumers.heartbeat import Heartbeat
from durable.queue import BatonHuey
from durable.records import Lease, State, Submission
from tests.unit.leasing import claim, state
from tests.unit.test_adoption import run_of
from tests.unit.test_housekeeper import settings_in


@pytest.fixture
def worker(huey: BatonHuey, tmp_path: Path) -> LeaseWorker:
    return LeaseWorker(
        huey=huey,
        stop_flag=threading.Event(),
        default_delay=0.1,
        max_delay=1.0,
        backoff=1.0,
        heartbeat=Heartbeat(huey.store, "me"),
        queues=("default",),
        stopping=tmp_path / "stopping",
    )


def test_one_turn_does_all_that_is_ready(huey: BatonHuey, worker: LeaseWorker) -> None:
    @huey.task()
    def body() -> None:
        if huey.store.counts()[State.QUEUED] == 0:
            worker.stop_flag.set()

    for _ in range(3):
        body()
    worker.loop()
    assert huey.store.counts()[State.SUCCEEDED] == 3
    assert worker.heartbeat.in_hand() == []


def test_a_stop_during_a_task_claims_no_other(huey: BatonHuey, worker: LeaseWorker) -> None:
    @huey.task()
    def body() -> None:
        worker.stop_flag.set()

    for _ in range(2):
        body()
    worker.loop()
    counts = huey.store.counts()
    assert (counts[State.SUCCEEDED], counts[State.QUEUED]) == (1, 1)
    assert huey.store.page(State.QUEUED)[0].attempt == 0


def test_a_consumer_that_drains_ends_its_task_claims_no_other_and_goes(
    huey: BatonHuey, worker: LeaseWorker, tmp_path: Path
) -> None:
    mark = worker.mark = Mark(tmp_path, "baton-consumer-2")
    left: list[bool] = []

    def leave() -> None:
        left.append(True)
        worker.stop_flag.set()

    worker._leave = leave

    @huey.task()
    def body() -> None:
        mark.ask()

    for _ in range(2):
        body()
    worker.loop()
    assert not left  # it has only just looked up from its task
    worker.loop()
    assert left == [True]
    counts = huey.store.counts()
    assert (counts[State.SUCCEEDED], counts[State.QUEUED]) == (1, 1)
    assert huey.store.page(State.QUEUED)[0].attempt == 0


def test_a_lease_that_came_in_the_moment_of_a_stop_is_given_back_uncounted(
    huey: BatonHuey, worker: LeaseWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    @huey.task()
    def body() -> None:
        return None

    for _ in range(2):
        body()
    said = iter([False, False, True])  # before the first, at its settle, before the second
    monkeypatch.setattr(worker, "_ending", lambda: next(said, True))
    worker.loop()
    record = huey.store.page(State.QUEUED)[0]
    assert (record.attempt, record.counted, record.outcome) == (1, 0, "interrupted")
    assert worker.heartbeat.in_hand() == []


def test_while_down_is_at_work_nothing_is_claimed(
    huey: BatonHuey, worker: LeaseWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    @huey.task()
    def body() -> None:
        return None

    body()
    worker.stopping.touch()
    worker.stop_flag.set()  # its pause is over at once
    worker.loop()
    assert huey.store.counts()[State.QUEUED] == 1


def test_an_end_that_cannot_be_written_as_it_is_kills_no_worker(
    huey: BatonHuey, worker: LeaseWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    @huey.task()
    def body() -> None:
        return None

    def broken(*_: Any) -> Any:
        worker.stop_flag.set()
        raise UnicodeEncodeError("utf-8", "\ud83d", 0, 1, "a mistake of ours")

    result = body()
    monkeypatch.setattr(huey, "attempt", broken)
    worker.loop()
    assert result.record.state is State.FAILED
    assert "a mistake of ours" in result.record.reason


class Restarted(Adoption):
    """Takes over a run, and is told to stop in the same moment."""

    stop_flag: threading.Event

    def take(self) -> Lease | None:
        self.stop_flag.set()
        return super().take()


def test_a_run_that_was_taken_over_in_the_moment_of_a_stop_stays_as_it_is(
    huey: BatonHuey, worker: LeaseWorker, tmp_path: Path
) -> None:
    huey.store.submit([Submission(id="a", body=b"{}", kind="claude")])
    lease = claim(huey.store, owner="i:h:consumer-1")
    run_of(tmp_path, lease)
    own = Restarted(settings_in(tmp_path), huey.store, "i:h:consumer-1")
    own.stop_flag = worker.stop_flag
    own.take_own()
    worker.adoption = own
    worker.loop()
    assert state(huey.store, "a") is State.RUNNING
