"""Retries of plain tasks: backoff, jitter, and errors on the way."""

from typing import Any

import pytest
from huey.exceptions import RetryTask

from durable.errors import CodecError
from durable.queue import BatonHuey, jittered_ms
from durable.records import State
from durable.results import TaskFailed
from tests.turns import drain, run_one


def wait_s(huey: BatonHuey, task_id: str) -> float:
    record = huey.store.record(task_id)
    assert record is not None
    return (record.due_ms - huey.store.now_ms()) / 1000


def make_due(huey: BatonHuey, task_id: str) -> None:
    huey.store.client.zadd(huey.store._key("scheduled"), {task_id: 0})


def test_each_retry_waits_longer_and_a_little_more_by_chance(huey: BatonHuey) -> None:
    @huey.task(retries=3, retry_delay=100, retry_backoff=2)
    def broken() -> None:
        raise ValueError("again")

    result = broken()
    for delay in (100, 200, 400):
        run_one(huey)
        assert delay - 5 < wait_s(huey, result.id) <= delay * 1.1
        make_due(huey, result.id)
    run_one(huey)
    assert result.record.state is State.FAILED
    assert result.record.counted == 3


def test_jitter_only_lengthens_and_may_be_turned_off(huey: BatonHuey) -> None:
    waits = {jittered_ms(10_000, 0.5) for _ in range(200)}
    assert min(waits) >= 10_000
    assert max(waits) <= 15_000
    assert len(waits) > 100
    assert jittered_ms(10_000, 0) == 10_000


def test_a_task_has_its_own_jitter(huey: BatonHuey) -> None:
    @huey.task(retries=1, retry_delay=100, retry_jitter=0)
    def broken() -> None:
        raise ValueError("again")

    result = broken()
    run_one(huey)
    assert 95 < wait_s(huey, result.id) <= 100


def test_a_body_may_ask_for_a_retry(huey: BatonHuey) -> None:
    asked: list[int] = []

    @huey.task()
    def body() -> int:
        if not asked:
            asked.append(1)
            raise RetryTask(delay=50)
        return 1

    result = body()
    run_one(huey)
    assert result.get() is None
    assert 45 < wait_s(huey, result.id) <= 55
    make_due(huey, result.id)
    run_one(huey)
    assert result.get() == 1


def test_an_error_on_the_way_is_no_result_unless_asked_for(huey: BatonHuey, client: object) -> None:
    telling = BatonHuey("telling", client=client, store_intermediate_errors=True)
    for own, told in ((huey, False), (telling, True)):

        @own.task(retries=1, retry_delay=60)
        def broken() -> None:
            raise ValueError("on the way")

        result = broken()
        run_one(own)
        if told:
            with pytest.raises(TaskFailed, match="on the way"):
                result.get()
        else:
            assert result.get() is None


def test_every_attempts_error_handler_runs_where_errors_on_the_way_count(
    client: object,
) -> None:
    huey = BatonHuey("telling", client=client, store_intermediate_errors=True)
    handled: list[str] = []

    @huey.task(retries=2)
    def broken() -> None:
        raise ValueError("x")

    @huey.task()
    def handle(error: Exception) -> None:
        handled.append(str(error))

    huey.enqueue(broken.s().error(handle))
    drain(huey)
    assert handled == ["ValueError: x"] * 3


def test_a_result_that_cannot_be_stored_fails_the_task_and_says_why(huey: BatonHuey) -> None:
    @huey.task(retries=2)
    def body() -> Any:
        return object()

    result = body()
    assert drain(huey) == 1
    with pytest.raises(TaskFailed, match="object at"):
        result.get(blocking=True, timeout=1)


def test_arguments_that_cannot_be_stored_are_refused_at_once(huey: BatonHuey) -> None:
    @huey.task()
    def body(value: Any) -> None:
        return None

    with pytest.raises(CodecError):
        body(object())
    assert sum(huey.store.counts().values()) == 0


def test_the_rest_of_a_broken_pipeline_tells_its_readers(huey: BatonHuey) -> None:
    @huey.task()
    def broken() -> None:
        raise ValueError("the first")

    @huey.task()
    def after(value: Any) -> Any:
        return value

    results = huey.enqueue(broken.s().then(after).then(after))
    assert drain(huey) == 1
    for result in results:
        with pytest.raises(TaskFailed, match="the first"):
            result.get(blocking=True, timeout=1)
    first, *_, last = results
    for _ in range(2):  # there for the next reader, too
        with pytest.raises(TaskFailed, match="the first") as failed:
            huey.result(last.id)
        assert failed.value.task_id == first.id


def test_the_results_of_a_broken_pipelines_rest_are_pruned_in_their_time(huey: BatonHuey) -> None:
    @huey.task()
    def broken() -> None:
        raise ValueError("the first")

    @huey.task()
    def after(value: Any) -> Any:
        return value

    huey.put("a user's own", 1)
    results = huey.enqueue(broken.s().then(after))
    drain(huey)
    huey.store.prune(60_000, 60_000)
    assert list(results)[1].is_ready()
    huey.store.prune(-1000, 60_000)
    assert list(huey.all_results()) == ["a user's own"]


def test_a_task_that_a_person_sends_back_has_all_its_retries_again(huey: BatonHuey) -> None:
    attempts = []

    @huey.task(retries=2)
    def broken() -> None:
        attempts.append(1)
        raise ValueError("again")

    result = broken()
    drain(huey)
    assert len(attempts) == 3
    huey.store.requeue(result.id)
    drain(huey)
    assert len(attempts) == 6
