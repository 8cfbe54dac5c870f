"""Locks that know their holder, and limits by the server's clock."""

import time
from typing import Any

import pytest
from huey.exceptions import RateLimitExceeded, TaskLockedException

from durable import effects
from durable.queue import BatonHuey
from durable.records import State
from tests.turns import drain, run_one, take


def test_a_lock_whose_time_ran_out_leaves_the_next_holder_alone(huey: BatonHuey) -> None:
    slow, quick = huey.lock_task("a", ttl=0.01), huey.lock_task("a")
    slow.acquire()
    time.sleep(0.02)
    quick.acquire()
    assert not slow.release()
    assert huey.is_locked("a")
    assert quick.release()
    assert not huey.is_locked("a")


def test_a_lock_keeps_others_out_and_is_let_go_by_an_error(huey: BatonHuey) -> None:
    def hold() -> None:
        with huey.lock_task("a"):
            with pytest.raises(TaskLockedException):
                huey.lock_task("a").acquire()
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        hold()
    assert not huey.is_locked("a")


def test_a_lock_falls_with_the_lease_of_the_task_that_took_it(huey: BatonHuey) -> None:
    @huey.task()
    def body() -> None:
        return None

    body()
    lease = take(huey)
    effects.begin(lease)
    huey.lock_task("a").acquire()
    effects.end()
    with pytest.raises(TaskLockedException):
        huey.lock_task("a").acquire()
    huey.store.release(lease.id, lease.token, outcome="interrupted", reason="killed")
    assert huey.lock_task("a").acquire()
    with pytest.raises(TaskLockedException):
        huey.lock_task("a").acquire()


def test_a_locked_task_is_tried_again(huey: BatonHuey) -> None:
    @huey.task(retries=1)
    @huey.lock_task("a")
    def body() -> int:
        return 1

    result = body()
    with huey.lock_task("a"):
        run_one(huey)
    drain(huey)
    assert result.get() == 1


def test_anybody_may_clear_a_lock(huey: BatonHuey) -> None:
    lock = huey.lock_task("a")
    lock.acquire()
    assert huey.flush_locks("a") == {"a"}
    assert not lock.release()


def test_a_rate_limit_lets_so_many_through_and_says_when_to_come_back(huey: BatonHuey) -> None:
    limit = huey.rate_limit("r", limit=2, per=3600)
    for _ in range(2):
        limit.acquire()
    with pytest.raises(RateLimitExceeded) as refused:
        limit.acquire()
    assert 0 < refused.value.delay <= 3600
    assert limit.current_usage() == 3
    limit.reset()
    limit.acquire()


def test_a_rate_limits_window_ends_by_itself(huey: BatonHuey) -> None:
    limit = huey.rate_limit("r", limit=1, per=0.05)
    deadline = time.monotonic() + 5
    let_through = 0
    while let_through < 3 and time.monotonic() < deadline:
        try:
            limit.acquire()
            let_through += 1
        except RateLimitExceeded as refused:
            time.sleep(refused.delay)
    assert let_through == 3


def test_a_rate_limited_task_waits_for_the_window(huey: BatonHuey) -> None:
    @huey.task()
    @huey.rate_limit("r", limit=1, per=3600)
    def body() -> Any:
        return 1

    first, second = body(), body()
    assert drain(huey) == 2
    assert first.get() == 1
    assert second.get() is None
    assert second.record.state is State.SCHEDULED
