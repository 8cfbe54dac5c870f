"""Chords: one value per member however often it ends, the callback in the same step as the last of them."""

from typing import Any

import pytest
from huey import chord, group
from huey.utils import SKIPPED, Error

from durable.queue import BatonHuey
from durable.records import State
from durable.store import LeaseStore
from tests.turns import drain, run_one, take


@pytest.fixture
def number(huey: BatonHuey) -> Any:
    @huey.task()
    def number(n: Any) -> Any:
        if n == "broken":
            raise ValueError(n)
        return n

    return number


@pytest.fixture
def gather(huey: BatonHuey) -> Any:
    @huey.task()
    def gather(values: list[Any], more: str = "") -> list[Any]:
        return values

    return gather


def left_of_chords(store: LeaseStore) -> list[bytes]:
    return list(store.client.scan_iter(store.prefix + "chord*"))


def test_a_member_that_is_settled_again_counts_once(
    huey: BatonHuey, number: Any, gather: Any
) -> None:
    result = huey.enqueue(chord([number.s(1), number.s(2)], gather))
    settlement = huey.attempt(take(huey))
    for _ in range(3):  # replies were lost
        assert settlement.settle(huey.store)
    assert huey.store.record(result.callback.id) is None
    drain(huey)
    assert result.get() == [1, 2]


def test_a_member_whose_consumer_was_lost_counts_once(
    huey: BatonHuey, number: Any, gather: Any
) -> None:
    result = huey.enqueue(chord([number.s(1), number.s(2)], gather))
    lost = take(huey)
    late = huey.attempt(lost)
    assert huey.store.release(lost.id, lost.token, outcome="interrupted", reason="lost")
    run_one(huey)
    assert not late.settle(huey.store)
    assert huey.store.record(result.callback.id) is None
    drain(huey)
    assert result.get() == [1, 2]


def test_values_come_in_the_order_of_the_members_and_unchanged(
    huey: BatonHuey, number: Any, gather: Any
) -> None:
    values: list[Any] = [None, 1.5, (1, 2), {"a": {3}}, "ü,]", 2**70, b"\0"]
    result = huey.enqueue(chord([number.s(v, priority=i) for i, v in enumerate(values)], gather))
    drain(huey)
    assert result.get() == values
    assert left_of_chords(huey.store) == []


def test_the_callback_keeps_its_own_arguments_and_its_pipeline(
    huey: BatonHuey, number: Any
) -> None:
    @huey.task()
    def join(first: str, values: list[int], last: str = "") -> str:
        return f"{first}{values}{last}"

    @huey.task()
    def upper(text: str) -> str:
        return text.upper()

    result = huey.enqueue(chord([number.s(1)], join.s("a", last="z")).then(upper))
    drain(huey)
    assert result.pipeline_results.get() == ["a[1]z", "A[1]Z"]


def test_a_failed_a_revoked_and_a_cancelled_member_are_told_apart(
    huey: BatonHuey, number: Any
) -> None:
    seen: list[Any] = []

    @huey.task()
    def keep(values: list[Any]) -> None:
        seen.extend(values)

    members = [number.s(n) for n in (1, "broken", 3, 4)]
    huey.enqueue(chord(members, keep))
    huey.revoke_by_id(members[2].id)
    huey.store.cancel(members[3].id)
    drain(huey)
    assert seen[0] == 1
    assert isinstance(seen[1], Error)
    assert seen[2] is SKIPPED
    assert seen[3] is SKIPPED


def test_a_member_that_no_consumer_can_read_is_skipped(
    huey: BatonHuey, number: Any, gather: Any
) -> None:
    members = [number.s(1), number.s(2)]
    result = huey.enqueue(chord(members, gather))
    huey.store.client.hdel(huey.store._key("task:" + members[0].id), "body")
    drain(huey)
    assert result.get() == [SKIPPED, 2]


def test_a_claim_that_ends_a_chord_leaves_the_callback_to_its_own_queue(
    huey: BatonHuey, number: Any, gather: Any
) -> None:
    callback = gather.s()
    callback.queue = "gpu"
    huey.enqueue(chord([number.s(1)], callback))
    huey.store.client.hdel(huey.store._key("task:" + huey.pending()[0].id), "body")
    assert run_one(huey) is None
    assert huey.store.counts()[State.QUEUED] == 1


def test_a_pipeline_is_one_member_and_the_end_of_it_counts(
    huey: BatonHuey, number: Any, gather: Any
) -> None:
    @huey.task()
    def add(a: int, b: int) -> int:
        return a + b

    broken = number.s("broken").then(number)
    result = huey.enqueue(chord([number.s(1).then(add, 10), broken], gather))
    drain(huey)
    values = result.get()
    assert values[0] == 11
    assert isinstance(values[1], Error)


def test_a_chord_may_be_a_member_of_another(huey: BatonHuey, number: Any, gather: Any) -> None:
    inner = chord([number.s(1), number.s(2)], gather.s())
    result = huey.enqueue(chord([inner, number.s(3)], gather.s(more="outer")))
    assert drain(huey) == 5
    assert result.get() == [[1, 2], 3]
    assert left_of_chords(huey.store) == []


def test_a_retried_member_counts_when_it_has_ended(huey: BatonHuey, gather: Any) -> None:
    tries = []

    @huey.task(retries=1)
    def flaky() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("again")
        return "well"

    result = huey.enqueue(chord([flaky.s()], gather))
    assert drain(huey) == 3
    assert result.get() == ["well"]


def test_a_member_that_a_person_sends_back_in_time_gives_its_new_value(
    huey: BatonHuey, gather: Any
) -> None:
    tries = []

    @huey.task()
    def mended() -> str:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("not yet")
        return "well"

    first, second = mended.s(), mended.s()
    result = huey.enqueue(chord([first, second], gather))
    run_one(huey)
    huey.store.requeue(first.id)
    assert drain(huey) == 3
    assert result.get() == ["well", "well"]


def test_a_group_and_a_chord_go_in_whole_or_not_at_all(
    huey: BatonHuey, number: Any, gather: Any
) -> None:
    with pytest.raises(Exception, match="cannot be stored"):
        huey.enqueue(group([number.s(1), number.s(object())]))
    with pytest.raises(Exception, match="cannot be stored"):
        huey.enqueue(chord([number.s(1), number.s(object())], gather))
    assert sum(huey.store.counts().values()) == 0
    assert left_of_chords(huey.store) == []


def test_a_chord_that_is_sent_again_changes_nothing(
    huey: BatonHuey, number: Any, gather: Any
) -> None:
    members = chord([number.s(1)], gather)
    result = huey.enqueue(members)
    drain(huey)
    huey.enqueue(members)
    assert drain(huey) == 0
    assert result.get() == [1]
    assert left_of_chords(huey.store) == []


def test_a_rescheduled_member_keeps_its_place(huey: BatonHuey, number: Any, gather: Any) -> None:
    result = huey.enqueue(chord([number.s(1), number.s(2)], gather))
    again = next(iter(result.results)).reschedule()
    assert drain(huey) == 4
    assert again.get() == 1
    assert result.get() == [1, 2]


def test_a_callback_waits_for_its_own_time(huey: BatonHuey, number: Any, gather: Any) -> None:
    result = huey.enqueue(chord([number.s(1)], gather.s(delay=60)))
    assert drain(huey) == 1
    record = result.callback.record
    assert record is not None
    assert record.state is State.SCHEDULED


def test_a_callbacks_expiry_counts_from_when_it_goes_in(
    huey: BatonHuey, number: Any, gather: Any
) -> None:
    result = huey.enqueue(chord([number.s(1)], gather.s(expires=60)))
    run_one(huey)
    key = huey.store._key("task:" + result.callback.id)
    huey.store.client.hincrby(key, "created_ms", -61_000)
    run_one(huey)
    record = result.callback.record
    assert record is not None
    assert record.state is State.CANCELLED
    assert "expired" in record.reason
