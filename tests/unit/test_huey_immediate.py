"""Immediate mode, for users' own tests: no server, the same results, errors and codec."""

import datetime as dt
from typing import Any

import pytest
from huey import chord, group
from huey.exceptions import RateLimitExceeded, TaskLockedException

from durable.errors import CodecError
from durable.queue import BatonHuey
from durable.results import BatonResult, TaskFailed


@pytest.fixture
def huey() -> BatonHuey:
    return BatonHuey("immediate", url="redis://localhost:1", immediate=True)


def test_a_task_runs_at_once_without_a_server(huey: BatonHuey) -> None:
    @huey.task()
    def add(a: int, b: int) -> int:
        return a + b

    result = add(1, 2)
    assert isinstance(result, BatonResult)
    assert result.get(blocking=True, timeout=1) == 3
    assert result.record is None


def test_values_go_through_the_codec_as_they_would(huey: BatonHuey) -> None:
    @huey.task()
    def same(value: Any) -> Any:
        return value

    moment = dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC)
    assert same({"when": moment, "t": (1, 2)}).get() == {"when": moment, "t": (1, 2)}
    with pytest.raises(CodecError, match="cannot be stored"):
        same(object())


def test_an_error_names_its_outcome(huey: BatonHuey) -> None:
    @huey.task()
    def broken() -> None:
        raise ValueError("no such file")

    with pytest.raises(TaskFailed, match="no such file") as failed:
        broken().get()
    assert failed.value.outcome == "crashed"


def test_pipelines_groups_and_chords_work(huey: BatonHuey) -> None:
    @huey.task()
    def add(a: int, b: int) -> int:
        return a + b

    @huey.task()
    def total(values: list[int]) -> int:
        return sum(values)

    assert huey.enqueue(add.s(1, 2).then(add, 3)).get() == [3, 6]
    assert huey.enqueue(group([add.s(1, 1), add.s(2, 2)])).get() == [2, 4]
    assert huey.enqueue(chord([add.s(1, 1), add.s(2, 2)], total)).get() == 6


def test_retries_happen_at_once(huey: BatonHuey) -> None:
    tries = []

    @huey.task(retries=2)
    def flaky() -> int:
        tries.append(1)
        if len(tries) < 3:
            raise ValueError
        return len(tries)

    assert flaky().get() == 3


def test_revoking_scheduling_and_rescheduling_work(huey: BatonHuey) -> None:
    ran = []

    @huey.task()
    def body(n: int) -> int:
        ran.append(n)
        return n

    body.revoke()
    assert body(1).get() is None
    assert body.restore()
    later = body.schedule((2,), delay=60)
    assert huey.scheduled_count() == 1
    assert later.get() is None
    assert later.reschedule().get() == 2
    assert ran == [2]


def test_locks_and_limits_work(huey: BatonHuey) -> None:
    lock = huey.lock_task("a")
    with lock, pytest.raises(TaskLockedException):
        huey.lock_task("a").acquire()
    assert not huey.is_locked("a")
    limit = huey.rate_limit("r", limit=1, per=3600)
    limit.acquire()
    with pytest.raises(RateLimitExceeded):
        limit.acquire()
    assert limit.current_usage() == 2
    limit.reset()
    limit.acquire()


def test_a_context_task_and_its_own_task_object(huey: BatonHuey) -> None:
    seen: list[Any] = []

    class Open:
        def __enter__(self) -> str:
            seen.append("open")
            return "handle"

        def __exit__(self, *_: object) -> None:
            seen.append("closed")

    @huey.context_task(Open(), as_argument=True)
    def body(handle: str) -> str:
        return handle

    @huey.task(context=True)
    def named(task: Any = None) -> str:
        return str(task.id)

    assert body().get() == "handle"
    assert seen == ["open", "closed"]
    result = named()
    assert result.get() == result.id


def test_it_may_be_switched_on_and_off(client: Any) -> None:
    huey = BatonHuey("test", client=client)

    @huey.task()
    def body() -> int:
        return 1

    huey.immediate = True
    assert body().get() == 1
    huey.immediate = False
    assert body().get() is None
    assert len(huey) == 1
