"""The oracle of the chaos run must see every kind of damage, and the monkey must be the same again."""

from collections import Counter
from typing import Any

import pytest

from chaos import monkey, oracle
from chaos.acks import Ack, Promise
from chaos.body import Line
from chaos.oracle import Evidence, Fact, judge

CREW = (["consumer-1", "consumer-2"], ["producer-1"])


def lived(task: str, run: str, *at_ns: int) -> list[Line]:
    first, *between = at_ns
    *between, last = between
    return [
        Line("begin", task, run, first),
        *(Line("alive", task, run, moment) for moment in between),
        Line("end", task, run, last),
    ]


def well() -> dict[str, Any]:
    """One task that went as it should, put in by a cursor's first step."""
    return {
        "acks": [Ack([Promise("a", "p/0/0", 1)], ["p/0/0/child"], "p", 1)],
        "lines": [*lived("a", "2.3", 0, 5, 10), *lived("b", "1.2", 0, 4)],
        "sizes": {"leases": 0},
        "tasks": {
            "a": Fact("succeeded", "p/0/0", 2, 1, 3),
            "b": Fact("succeeded", "p/0/0/child", 1, 0, 2),
        },
        "events": {"succeeded": Counter(a=1, b=1)},
        "cursors": {"p": 1},
        "counters": {"ids": (2, 2)},
    }


def broken(**changed: Any) -> set[str]:
    return {row.name for row in judge(Evidence(**(well() | changed))) if row.broken}


def test_a_run_in_which_all_went_well_is_green() -> None:
    assert broken() == set()


A, B = Fact("succeeded", "p/0/0", 2, 1, 3), Fact("succeeded", "p/0/0/child", 1, 0, 2)
DAMAGE: dict[str, tuple[str, dict[str, Any]]] = {
    "an acknowledged task is gone": (oracle.LOST, {"acks": [Ack([Promise("gone")])]}),
    "a task never ended": (oracle.LOST, {"tasks": {"a": Fact("queued", "p/0/0"), "b": B}}),
    "a task succeeded without a body": (oracle.LOST, {"lines": lived("b", "1.2", 0, 1)}),
    "a stale owner's success was taken": (
        oracle.LOST,
        {"tasks": {"a": Fact("succeeded", "p/0/0", 2, 1, 1), "b": B}},
    ),
    "a task was settled twice": (oracle.TWICE, {"events": {"succeeded": Counter(a=2)}}),
    "a task succeeded and failed": (
        oracle.TWICE,
        {"events": {"succeeded": Counter(a=1), "failed": Counter(a=1)}},
    ),
    "a stale run went on": (
        oracle.OVERLAP,
        {
            "lines": [
                *lived("a", "1", 0, 20),
                *lived("a", "2", 10, 30),
                *lived("b", "1", 0, 1),
            ]
        },
    ),
    "a task failed": (oracle.STATES, {"tasks": {"a": Fact("failed", "p/0/0", 2, 1), "b": B}}),
    "a key has two tasks": (oracle.KEYS, {"tasks": {"a": A, "b": B, "c": A}}),
    "a promised child is not there": (oracle.KEYS, {"tasks": {"a": A}}),
    "a cursor went back": (oracle.CURSORS, {"cursors": {"p": 0}}),
    "a cursor went on without its tasks": (oracle.CURSORS, {"cursors": {"p": 2}}),
    "a lease is left": (oracle.SIZES, {"sizes": {"leases": 1}}),
    "an index miscounts": (oracle.COUNTERS, {"counters": {"ids": (1, 2)}}),
    "a retry was not counted": (
        oracle.COUNTERS,
        {"tasks": {"a": Fact("succeeded", "p/0/0", 2, 0, 3), "b": B}},
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_the_oracle_sees_that(damage: str) -> None:
    row, changed = DAMAGE[damage]
    assert row in broken(**changed)


def test_plain_huey_is_judged_by_what_its_bodies_wrote() -> None:
    evidence = Evidence(acks=[Ack([Promise("a"), Promise("b")])], lines=[], sizes={"queue": 0})
    rows = {row.name: row.broken for row in judge(evidence)}
    assert rows[oracle.LOST] == 2
    assert rows[oracle.KEYS] is None


def test_runs_that_follow_each_other_do_not_overlap() -> None:
    assert oracle.overlaps([*lived("a", "1", 0, 9), *lived("a", "2", 10, 20)]) == []


def test_a_seed_gives_the_same_plan_and_a_short_run_its_beginning() -> None:
    long = monkey.plan(7, 60, *CREW, 4.5)
    assert monkey.plan(7, 60, *CREW, 4.5) == long
    short = monkey.plan(7, 20, *CREW, 4.5)
    assert short == long[: len(short)]
    assert monkey.plan(8, 60, *CREW, 4.5) != long


def test_a_minute_sees_every_kind_of_act() -> None:
    done = {act.what for act in monkey.plan(1, 60, *CREW, 4.5)}
    assert done == set(monkey.DECK)


def test_a_consumer_is_also_stopped_for_longer_than_its_lease() -> None:
    stops = [a for a in monkey.plan(1, 60, *CREW, 4.5) if a.what == monkey.PAST_LEASE]
    assert stops
    assert all(act.seconds > 4.5 for act in stops)
