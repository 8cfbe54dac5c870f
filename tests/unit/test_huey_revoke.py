"""Revoking, restoring, expiring and rescheduling, whatever state the task is in."""

import datetime as dt
import time
from collections.abc import Iterator

import pytest

from durable.queue import BatonHuey
from durable.records import State
from durable.results import TaskFailed
from tests.turns import drain, run_one, take


@pytest.fixture
def in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_running_task_is_cancelled_by_its_revocation(huey: BatonHuey) -> None:
    @huey.task(retries=3)
    def body() -> None:
        result.revoke()
        raise ValueError("told to stop, and stopped")

    result = body()
    assert drain(huey) == 1
    assert result.record.state is State.CANCELLED
    with pytest.raises(TaskFailed, match="cancelled by a person"):
        result.get()


def test_the_owner_of_a_revoked_running_task_hears_of_it(huey: BatonHuey) -> None:
    @huey.task()
    def body() -> None:
        return None

    result = body()
    lease = take(huey)
    huey.revoke_by_id(result.id)
    assert huey.store.beat([(lease.id, lease.token)], 30_000) == ["cancel"]


def test_a_revoked_task_that_waits_may_be_restored(huey: BatonHuey) -> None:
    @huey.task()
    def body() -> int:
        return 1

    result = body()
    result.revoke()
    assert result.is_revoked()
    assert result.record.state is State.QUEUED
    assert result.restore()
    assert not huey.restore_by_id(result.id)
    drain(huey)
    assert result.get() == 1


def test_a_revocation_is_used_up_only_by_the_end_that_it_causes(huey: BatonHuey) -> None:
    @huey.task()
    def never() -> None:
        raise AssertionError

    result = never()
    result.revoke()
    lease = take(huey)
    huey.attempt(lease)  # killed before its end was written
    huey.store.release(lease.id, lease.token, outcome="interrupted", reason="lost")
    run_one(huey)
    assert result.record.state is State.CANCELLED
    assert not result.is_revoked()


def test_a_task_class_may_be_revoked_and_restored(huey: BatonHuey) -> None:
    @huey.task()
    def body() -> int:
        return 1

    body.revoke()
    first, second = body(), body()
    run_one(huey)
    assert body.restore()
    run_one(huey)
    assert first.record.state is State.CANCELLED
    assert second.get() == 1


@pytest.mark.parametrize("utc", [True, False])
def test_a_task_that_was_not_started_in_time_expires(
    in_tokyo: None, client: object, utc: bool
) -> None:
    own = BatonHuey("other", client=client, utc=utc)

    @own.task()
    def body() -> int:
        return 1

    late = own.enqueue(body.s(expires=dt.datetime.now() - dt.timedelta(days=2)))
    well = own.enqueue(body.s(expires=60))
    drain(own)
    assert late.record.state is State.CANCELLED
    assert "expired" in late.record.reason
    assert well.get() == 1


def test_a_rescheduled_task_runs_once_under_its_new_id(huey: BatonHuey) -> None:
    ran = []

    @huey.task()
    def body(n: int) -> int:
        ran.append(n)
        return n

    first = huey.enqueue(body.s(7, priority=1), key="seven")
    again = first.reschedule(delay=60, priority=2)
    assert again.id != first.id
    assert again.record.state is State.SCHEDULED
    assert again.record.priority == 2
    now = again.reschedule()
    drain(huey)
    assert ran == [7]
    assert now.get() == 7
    assert first.record.state is State.CANCELLED


def test_a_handle_made_from_an_id_can_reschedule(huey: BatonHuey) -> None:
    @huey.task()
    def body(n: int) -> int:
        return n

    found = huey.result_of(body.schedule((5,), delay=60).id).reschedule()
    drain(huey)
    assert found.get() == 5


@pytest.mark.usefixtures("in_tokyo")
def test_local_times_are_local(client: object) -> None:
    own = BatonHuey("other", client=client, utc=False)

    @own.task()
    def body() -> None:
        return None

    eta = dt.datetime.now() + dt.timedelta(hours=1)
    result = body.schedule(eta=eta)
    assert result.record.due_ms == int(eta.timestamp() * 1000)
    assert drain(own) == 0
    body.schedule(delay=-1)
    assert drain(own) == 1
