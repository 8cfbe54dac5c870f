"""Huey's own way of working, on the lease queue: what a task's end causes is settled in one step."""

from typing import Any

import pytest
from huey.api import PeriodicTask
from huey.exceptions import CancelExecution

from durable.queue import BatonHuey
from durable.records import Lease, State
from durable.results import TaskFailed
from durable.verdicts import Fail, GiveBack, Hold, Retry
from tests.turns import drain, run_one


def test_a_result_is_there_for_every_reader(huey: BatonHuey) -> None:
    @huey.task()
    def add(a: int, b: int) -> int:
        return a + b

    result = add(1, 2)
    assert result.get() is None
    run_one(huey)
    assert result.get(blocking=True, timeout=1) == 3
    assert huey.result_of(result.id).get() == 3


def test_none_is_a_result_too(huey: BatonHuey) -> None:
    @huey.task()
    def nothing() -> None:
        return None

    result = nothing()
    run_one(huey)
    assert result.get(blocking=True, timeout=1) is None


def test_a_failed_task_raises_its_outcome_and_keeps_its_reason(huey: BatonHuey) -> None:
    @huey.task()
    def broken() -> None:
        raise ValueError("no such file")

    result = broken()
    run_one(huey)
    with pytest.raises(TaskFailed, match="no such file"):
        result.get(blocking=True, timeout=1)
    assert result.record is not None
    assert "no such file" in result.record.reason


def test_a_retry_is_the_same_record(huey: BatonHuey) -> None:
    seen = []

    @huey.task(retries=2)
    def flaky() -> int:
        seen.append(1)
        if len(seen) < 3:
            raise ValueError("again")
        return len(seen)

    result = flaky()
    assert drain(huey) == 3
    assert result.get() == 3
    assert result.record.counted == 2
    assert sum(huey.store.counts().values()) == 1


def test_a_retry_delay_is_waited_for(huey: BatonHuey) -> None:
    @huey.task(retries=1, retry_delay=60)
    def flaky() -> None:
        raise ValueError("later")

    result = flaky()
    assert drain(huey) == 1
    assert result.record.state is State.SCHEDULED


def test_a_pipeline_goes_on_with_the_result_before(huey: BatonHuey) -> None:
    @huey.task()
    def add(a: int, b: int) -> int:
        return a + b

    results = huey.enqueue(add.s(1, 2).then(add, 10).then(add, 100))
    assert drain(huey) == 3
    assert results.get() == [3, 13, 113]


def test_an_error_handler_is_part_of_the_end(huey: BatonHuey) -> None:
    caught: list[Any] = []

    @huey.task()
    def broken() -> None:
        raise ValueError("x")

    @huey.task()
    def handle(error: Any) -> None:
        caught.append(str(error))

    huey.enqueue(broken.s().error(handle))
    assert drain(huey) == 2
    assert caught == ["ValueError: x"]


def test_a_chord_gathers_its_members(huey: BatonHuey) -> None:
    from huey import chord

    @huey.task()
    def double(n: int) -> int:
        return 2 * n

    @huey.task()
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    result = huey.enqueue(chord([double.s(n) for n in (1, 2, 3)], total.s()))
    assert drain(huey) == 4
    assert result.callback.get() == 12


def test_what_a_body_enqueues_goes_out_at_once_and_once_with_a_key(huey: BatonHuey) -> None:
    @huey.task()
    def child() -> None:
        return None

    @huey.task(retries=1)
    def parent() -> None:
        huey.enqueue(child.s(), key="the-child")
        raise ValueError("after the child went out")

    parent()
    run_one(huey)
    assert huey.store.counts()[State.QUEUED] == 2  # the child, and the parent that is to run again
    drain(huey)
    assert huey.store.counts()[State.SUCCEEDED] == 1


def test_a_revoked_task_ends_cancelled_and_its_reader_is_told(huey: BatonHuey) -> None:
    @huey.task()
    def never() -> None:
        raise AssertionError

    result = never()
    result.revoke()
    run_one(huey)
    assert result.record.state is State.CANCELLED
    with pytest.raises(TaskFailed, match="revoked"):
        result.get(blocking=True, timeout=1)


def test_a_cancelled_task_tells_its_reader(huey: BatonHuey) -> None:
    @huey.task()
    def never() -> None:
        return None

    result = never()
    huey.store.cancel(result.id)
    with pytest.raises(TaskFailed, match="cancelled by a person"):
        result.get(blocking=True, timeout=1)


@pytest.mark.parametrize(
    ("verdict", "state", "outcome"),
    [
        (Fail("denied", "Bash was denied", "add it"), State.FAILED, "denied"),
        (Fail("cancelled", "a person"), State.CANCELLED, "cancelled"),
        (Retry("crashed", "exit 1", 60), State.SCHEDULED, "crashed"),
        (GiveBack("interrupted", "stopped"), State.QUEUED, "interrupted"),
        (GiveBack("overloaded", "529", 60), State.SCHEDULED, "overloaded"),
        (Hold("crashed", "look"), State.HELD, "crashed"),
        (CancelExecution(retry=False), State.FAILED, "crashed"),
    ],
    ids=str,
)
def test_a_verdict_decides_where_the_record_goes(
    huey: BatonHuey, verdict: BaseException, state: State, outcome: str
) -> None:
    @huey.task(retries=3)
    def body() -> None:
        raise verdict

    result = (
        body() if not isinstance(verdict, CancelExecution) else body.schedule(delay=0, retries=0)
    )
    run_one(huey)
    record = result.record
    assert record is not None
    assert (record.state, record.outcome) == (state, outcome)
    assert record.counted == (1 if isinstance(verdict, Retry) else 0)


def test_bytes_that_are_no_message_fail_and_an_unknown_task_is_held(huey: BatonHuey) -> None:
    huey.storage.enqueue(b"not json at all")
    huey.storage.enqueue(huey.serializer.serialize({"a": 1}))

    @huey.task()
    def here() -> int:
        return 1

    foreign = here.s()
    message = huey.serialize_task(foreign).replace(b"here", b"gone")
    huey.storage.enqueue(message)
    result = here()
    assert drain(huey) == 4
    assert result.get() == 1
    assert {r.outcome for r in huey.store.page(State.FAILED)} == {"rejected"}
    held = huey.store.page(State.HELD)[0]
    assert "no task is called" in held.reason
    assert "tasks:" in held.reason


@pytest.mark.parametrize("end", ["no json", "exit", "surrogate"])
def test_a_body_that_ends_oddly_fails_with_its_reason_and_runs_once(
    huey: BatonHuey, end: str
) -> None:
    runs = []

    @huey.task(retries=3)
    def odd() -> object:
        runs.append(1)
        if end == "exit":
            raise SystemExit(3)
        if end == "surrogate":
            raise Fail("rejected", "half a character: \ud83d")
        return object()

    result = odd()
    assert drain(huey) == 1
    assert result.record.state is State.FAILED
    assert {"no json": "cannot be stored", "exit": "SystemExit(3)", "surrogate": "half"}[end] in (
        result.record.reason
    )
    assert runs == [1]


def test_an_error_of_another_library_is_no_verdict(huey: BatonHuey) -> None:
    class ForeignError(Exception):
        outcome, message = "cancelled", "not ours"

    @huey.task()
    def body() -> None:
        raise ForeignError("its own words")

    result = body()
    run_one(huey)
    assert (result.record.state, result.record.outcome) == (State.FAILED, "crashed")
    assert "its own words" in result.record.reason


def test_a_redis_that_goes_away_during_the_body_does_not_undo_it(
    huey: BatonHuey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Huey tidies up after the body; that must not need the server before settle does."""

    @huey.task()
    def body() -> int:
        monkeypatch.setattr(huey.storage, "client", None)
        return 7

    result = body()
    client = huey.storage.client
    lease = huey.store.claim("me", "n", ("default",), 30_000)
    assert isinstance(lease, Lease)
    settlement = huey.attempt(lease)
    monkeypatch.setattr(huey.storage, "client", client)
    assert settlement.settle(huey.store)
    assert result.get() == 7


def test_a_periodic_task_keeps_its_schedule_readable(huey: BatonHuey) -> None:
    from huey import crontab

    every = crontab(minute="*/5")

    @huey.periodic_task(every)
    def tick() -> None:
        return None

    assert tick.task_class.cron_spec is every
    assert issubclass(tick.task_class, PeriodicTask)


def test_the_source_says_who_asked(huey: BatonHuey) -> None:
    @huey.task()
    def child() -> None:
        return None

    @huey.task()
    def parent() -> None:
        child()

    result = parent()
    assert result.record.source == "shell"
    run_one(huey)
    assert huey.store.page(State.QUEUED)[0].source == f"task:{result.id}"
