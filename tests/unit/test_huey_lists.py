"""What Huey lists: pending, scheduled, results; and values beside the records."""

import pytest
from huey.constants import EmptyData

from durable.queue import BatonHuey
from tests.turns import drain, run_one


def test_pending_and_scheduled_list_tasks_in_their_order(huey: BatonHuey) -> None:
    @huey.task()
    def body(n: int) -> int:
        return n

    low, high = body(1), body(2, priority=5)
    later, soon = body.schedule((3,), delay=60), body.schedule((4,), delay=30)
    assert [t.id for t in huey.pending()] == [high.id, low.id]
    assert [t.id for t in huey.pending(1)] == [high.id]
    assert [t.id for t in huey.scheduled()] == [soon.id, later.id]
    assert (len(huey), huey.scheduled_count()) == (2, 2)


def test_a_task_that_is_not_known_here_is_left_out_of_the_lists(huey: BatonHuey) -> None:
    @huey.task()
    def here() -> None:
        return None

    @huey.task()
    def gone() -> None:
        return None

    kept, _ = here(), gone()
    gone.schedule(delay=60)
    gone.unregister()
    assert [t.id for t in huey.pending()] == [kept.id]
    assert huey.scheduled() == []


def test_all_results_holds_what_has_ended_and_stays(huey: BatonHuey) -> None:
    @huey.task()
    def body(n: int) -> int:
        return n

    first = body(1)
    body(2)
    run_one(huey)
    assert list(huey.all_results()) == [first.id]
    first.get()
    assert huey.serializer.deserialize(huey.all_results()[first.id]) == 1
    drain(huey)
    assert huey.result_count() == 2


def test_values_beside_the_records_are_listed_until_they_are_gone(huey: BatonHuey) -> None:
    huey.put("a", [1])
    assert huey.put_if_empty("b", 2)
    assert not huey.put_if_empty("b", 3)
    assert huey.get("a", peek=True) == [1]
    assert set(huey.all_results()) == {"a", "b"}
    assert huey.get("a") == [1]
    assert huey.storage.peek_data("a") is EmptyData
    huey.storage.client.delete(huey.storage._key("kv", "b"))  # its time ran out
    assert huey.all_results() == {}
    assert huey.storage.client.zcard(huey.storage._index) == 0


def test_one_queue_leaves_anothers_values_alone(huey: BatonHuey, client: object) -> None:
    other = BatonHuey("other", client=client)
    huey.put("a", 1)
    assert other.get("a") is None
    assert other.all_results() == {}


def test_a_flush_of_everything_is_refused_before_anything_is_gone(huey: BatonHuey) -> None:
    @huey.task()
    def body() -> None:
        return None

    body()
    body.schedule(delay=60)
    with pytest.raises(NotImplementedError, match="kept"):
        huey.flush()
    assert (len(huey), huey.scheduled_count()) == (1, 1)
    huey.storage.flush_queue()
    huey.storage.flush_schedule()
    assert (len(huey), huey.scheduled_count()) == (0, 0)
