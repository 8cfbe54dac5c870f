"""Signals tell what is written, in Huey's order, and nothing of an end that is refused."""

from typing import Any

import pytest
from huey import signals as s

from durable.queue import BatonHuey
from tests.turns import drain, take


@pytest.fixture
def heard(huey: BatonHuey) -> list[str]:
    found: list[str] = []

    @huey.signal()
    def hear(signal: str, task: Any, *_: Any) -> None:
        found.append(signal)

    return found


def test_a_success_is_told_in_order(huey: BatonHuey, heard: list[str]) -> None:
    @huey.task()
    def add(a: int, b: int) -> int:
        return a + b

    huey.enqueue(add.s(1, 2).then(add, 3))
    drain(huey)
    once = [s.SIGNAL_ENQUEUED, s.SIGNAL_EXECUTING, s.SIGNAL_COMPLETE]
    assert heard == once * 2


def test_a_retry_is_told_in_order(huey: BatonHuey, heard: list[str]) -> None:
    @huey.task(retries=1, retry_delay=60)
    def broken() -> None:
        raise ValueError

    broken()
    drain(huey)
    assert heard == [
        *(s.SIGNAL_ENQUEUED, s.SIGNAL_EXECUTING),
        *(s.SIGNAL_ERROR, s.SIGNAL_RETRYING, s.SIGNAL_SCHEDULED),
    ]


def test_a_task_with_a_time_is_told_as_scheduled_at_once(huey: BatonHuey, heard: list[str]) -> None:
    @huey.task()
    def body() -> None:
        return None

    body.schedule(delay=60)
    assert heard == [s.SIGNAL_ENQUEUED, s.SIGNAL_SCHEDULED]


def test_whoever_hears_of_an_end_finds_its_result(huey: BatonHuey) -> None:
    found: list[Any] = []

    @huey.signal(s.SIGNAL_COMPLETE)
    def hear(signal: str, task: Any) -> None:
        found.append(huey.result(task.id))

    @huey.task()
    def body() -> int:
        return 7

    body()
    drain(huey)
    assert found == [7]


def test_an_end_that_is_refused_is_not_told(huey: BatonHuey, heard: list[str]) -> None:
    @huey.task()
    def body() -> int:
        return 7

    body()
    lease = take(huey)
    settlement = huey.attempt(lease)
    huey.store.release(lease.id, lease.token, outcome="interrupted", reason="lost")
    assert not settlement.settle(huey.store)
    assert heard == [s.SIGNAL_ENQUEUED, s.SIGNAL_EXECUTING]


def test_a_receiver_that_raises_and_one_that_enqueues_disturb_nothing(huey: BatonHuey) -> None:
    @huey.task()
    def child() -> int:
        return 2

    @huey.task()
    def body() -> int:
        return 1

    children: list[Any] = []

    @huey.signal(s.SIGNAL_COMPLETE)
    def bad(signal: str, task: Any) -> None:
        raise ValueError

    @huey.signal(s.SIGNAL_COMPLETE)
    def good(signal: str, task: Any) -> None:
        if not children:
            children.append(child())

    result = body()
    assert drain(huey) == 2
    assert result.get() == 1
    assert children[0].get() == 2


def test_a_revoked_an_expired_and_a_locked_task_are_told(huey: BatonHuey, heard: list[str]) -> None:
    @huey.task()
    def body() -> None:
        return None

    @huey.task()
    @huey.lock_task("a")
    def locked() -> None:
        return None

    body().revoke()
    body(expires=-1)
    locked()
    with huey.lock_task("a"):
        drain(huey)
    told = [signal for signal in heard if signal not in (s.SIGNAL_ENQUEUED, s.SIGNAL_EXECUTING)]
    assert told == [s.SIGNAL_REVOKED, s.SIGNAL_EXPIRED, s.SIGNAL_LOCKED]
