"""The oracle of the chaos run must see every kind of damage, and the monkey must be the same again."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from chaos import evidence, monkey, oracle, overlap, wishes
from chaos.acks import Ack, Promise
from chaos.body import Line
from chaos.facts import Fact
from chaos.obeyed import CANCEL, HOLD, REQUEUE, Claimed, Deed, Pause
from chaos.oracle import Evidence, judge
from chaos.witness import Witness
from durable.records import Submission
from durable.store import LeaseStore

CREW = (["consumer-1", "consumer-2"], ["producer-1"])


def lived(task: str, run: str, *at_ns: int) -> list[Line]:
    first, *between = at_ns
    *between, last = between
    return [
        Line("begin", task, run, first),
        *(Line("alive", task, run, moment) for moment in between),
        Line("end", task, run, last),
    ]


FIRST = Promise(id="a", key="p/0/0", retries=1)
CHILD = Promise(key="p/0/0/child", child_of="p/0/0")


def well() -> dict[str, Any]:
    """One task that went as it should, put in by a cursor's first step, and its child."""
    return {
        "acks": [Ack([FIRST, CHILD], "p", 1)],
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
    "an acknowledged task is gone": (oracle.LOST, {"acks": [Ack([Promise(id="gone")])]}),
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
    "an attempt was counted that was none": (
        oracle.COUNTERS,
        {"tasks": {"a": Fact("succeeded", "p/0/0", 2, 2, 3), "b": B}},
    ),
    "a task was cancelled, and nobody asked": (
        oracle.STATES,
        {"tasks": {"a": A, "b": Fact("cancelled", "p/0/0/child")}},
    ),
    "a task succeeded after its cancel": (
        oracle.CANCEL,
        {"deeds": [Deed(CANCEL, "a", "held", 9, 10)]},
    ),
    "a body lived on after its cancel": (
        oracle.CANCEL,
        {
            "deeds": [Deed(CANCEL, "b", "queued", 2, 3)],
            "tasks": {"a": A, "b": Fact("cancelled", "p/0/0/child")},
        },
    ),
    "a body lived while it was held": (oracle.HOLD, {"deeds": [Deed(HOLD, "a", "queued", 3, 4)]}),
    "a body began before it was let go": (
        oracle.HOLD,
        {"deeds": [Deed(HOLD, "a", "queued", 1, 2), Deed(REQUEUE, "a", "held", 6, 7)]},
    ),
    "a task was claimed in a pause": (
        oracle.PAUSE,
        {"pauses": [Pause((5, 0), (9, 3))], "claims": [Claimed((5, 1), "a")]},
    ),
    "what follows a cancelled task is in": (
        oracle.KEYS,
        {
            "acks": [Ack([FIRST, CHILD, Promise(id="b", follows="a")])],
            "tasks": {"a": Fact("cancelled", "p/0/0"), "b": B},
        },
    ),
    "what follows a success is not in": (
        oracle.LOST,
        {"acks": [Ack([FIRST, CHILD, Promise(id="c", follows="b")])]},
    ),
    "two tasks of one lock lived at once": (
        oracle.LOCKS,
        {"acks": [Ack([Promise(id="a", lock="l"), Promise(key="p/0/0/child", lock="l")])]},
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_the_oracle_sees_that(damage: str) -> None:
    row, changed = DAMAGE[damage]
    assert row in broken(**changed)


#: What people did, and everything was as they said.
OBEYED: dict[str, dict[str, Any]] = {
    "a waiting task was cancelled, its child never came": {
        "acks": [Ack([FIRST, CHILD, Promise(id="c", follows="a")])],
        "deeds": [Deed(CANCEL, "a", "scheduled", 11, 12)],
        "tasks": {"a": Fact("cancelled", "p/0/0", 1, 1)},
        "lines": [Line("begin", "a", "1.1", 3), Line("stumble", "a", "1.1", 5)],
        "counters": {},
    },
    "the answer of a cancel was had at the second try": {
        "deeds": [Deed(CANCEL, "b", "cancelled", 11, 12)],
        "tasks": {"a": A, "b": Fact("cancelled", "p/0/0/child", 1)},
    },
    "a running task was cancelled, but had ended": {"deeds": [Deed(CANCEL, "a", "running", 9, 11)]},
    "a running task was cancelled, and stopped": {
        "deeds": [Deed(CANCEL, "b", "running", 1, 2)],
        "tasks": {"a": A, "b": Fact("cancelled", "p/0/0/child", 1)},
    },
    "a held task ran once it was let go, and counts anew": {
        "deeds": [Deed(HOLD, "a", "scheduled", -9, -8), Deed(REQUEUE, "a", "held", -1, 1)],
        "tasks": {"a": Fact("succeeded", "p/0/0", 2, 0, 3), "b": B},
    },
    "a hold came too late": {"deeds": [Deed(HOLD, "a", "running", 1, 2)]},
    "claims before and after a pause": {
        "pauses": [Pause((5, 0), (9, 3))],
        "claims": [Claimed((5, 0), "a"), Claimed((9, 4), "b")],
    },
    "two tasks of one lock took turns": {
        "acks": [Ack([Promise(id="a", retries=1, lock="l"), Promise(key="p/0/0/child", lock="l")])],
        "lines": [*lived("a", "2.3", 0, 5, 10), *lived("b", "1.2", 11, 12)],
    },
    "two tasks of two locks lived at once": {
        "acks": [Ack([Promise(id="a", retries=1, lock="l"), Promise(key="p/0/0/child", lock="m")])]
    },
}


@pytest.mark.parametrize("case", OBEYED)
def test_what_people_may_do_is_no_damage(case: str) -> None:
    assert broken(**{"cursors": {}, "acks": [Ack([FIRST, CHILD])], **OBEYED[case]}) == set()


def test_plain_huey_is_judged_by_what_its_bodies_wrote() -> None:
    evidence = Evidence(
        acks=[Ack([Promise(id="a"), Promise(id="b")])], lines=[], sizes={"queue": 0}
    )
    rows = {row.name: row.broken for row in judge(evidence)}
    assert rows[oracle.LOST] == 2
    assert rows[oracle.KEYS] is None


def test_runs_that_follow_each_other_do_not_overlap() -> None:
    assert overlap.of_tasks([*lived("a", "1", 0, 9), *lived("a", "2", 10, 20)]) == []


def test_whatever_is_left_is_seen_in_structures_that_nobody_has_named_too(
    store: LeaseStore, tmp_path: Path
) -> None:
    store.submit([Submission(id="a", key="k", body=b"{}")])
    store.client.hset(store.prefix + "new", "lock", "holder")
    seen = evidence.of_baton(tmp_path, store, Witness(store.client, store.prefix))
    assert seen.sizes == {"ready:default:python": 1, "new": 1}


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


def test_people_too_follow_a_seed_and_do_of_everything_in_a_minute() -> None:
    long = wishes.plan(7, 60)
    short = wishes.plan(7, 20)
    assert short == long[: len(short)]
    assert wishes.plan(8, 60) != long
    assert {wish.what for wish in long} == set(wishes.DECK)
