"""What a producer's journal says of what happened, and the task that does not go in beside a live one."""

from __future__ import annotations

import pytest

from durable.errors import CursorMovedError
from durable.records import Cursor, Entry, State, Step, Submitted
from durable.store import LeaseStore
from tests.unit.leasing import claim, state, sub

NIGHTLY = "schedule:nightly"


def tick(store: LeaseStore, number: int, *, alone: bool = True) -> tuple[str, bool, bool]:
    """A tick of a schedule comes: the id that stands for it, whether it is new, whether it was kept out."""
    task = sub(f"t{number}", key=f"tick:{number}", source=NIGHTLY)
    entry = Entry(journal=NIGHTLY, what="run", about=str(number), place=1, alone=alone)
    step = Cursor(NIGHTLY, store.read_cursor(NIGHTLY), str(number))
    [done] = store.submit([task], step, [entry])
    return done.id, done.new, done.kept_out


def told(store: LeaseStore) -> list[tuple[str, str, str]]:
    return [(entry.about, entry.what, entry.id) for entry in store.journal(NIGHTLY)]


def test_a_task_and_its_entry_go_in_together(store: LeaseStore) -> None:
    assert tick(store, 1) == ("t1", True, False)
    [entry] = store.journal(NIGHTLY)
    assert (entry.what, entry.about, entry.id, entry.count) == ("run", "1", "t1", 1)
    assert abs(entry.at_ms - store.now_ms()) < 60_000


def test_a_task_does_not_go_in_beside_a_live_one_of_its_source(store: LeaseStore) -> None:
    tick(store, 1)
    assert tick(store, 2) == ("t1", False, True)
    lease = claim(store)
    assert tick(store, 3) == ("t1", False, True), "it runs"
    store.settle(lease, State.SCHEDULED, outcome="crashed", retry_ms=store.now_ms() + 60_000)
    assert tick(store, 4) == ("t1", False, True), "it is to be tried again"
    assert store.record("t2") is None
    assert told(store) == [(n, "skipped", "t1") for n in "432"] + [("1", "run", "t1")]


@pytest.mark.parametrize("end", [State.SUCCEEDED, State.FAILED, State.CANCELLED, State.HELD])
def test_one_that_has_ended_or_is_held_is_in_nobody_s_way(store: LeaseStore, end: State) -> None:
    tick(store, 1)
    store.settle(claim(store), end, outcome="x")
    assert tick(store, 2) == ("t2", True, False)
    assert tick(store, 3) == ("t2", False, True)


def test_one_that_a_person_sent_back_is_in_the_way_again(store: LeaseStore) -> None:
    tick(store, 1)
    store.settle(claim(store), State.FAILED, outcome="x")
    store.requeue("t1")
    assert tick(store, 2)[2]


def test_a_tick_that_was_kept_out_stays_out(store: LeaseStore) -> None:
    tick(store, 1)
    tick(store, 2)
    store.settle(claim(store), State.SUCCEEDED, outcome="succeeded")
    assert tick(store, 2) == ("t1", False, False), "a clock that was set back comes past it again"
    assert len(told(store)) == 2


def test_tasks_of_other_sources_and_those_that_may_run_side_by_side_are_in_nobody_s_way(
    store: LeaseStore,
) -> None:
    store.submit([sub("other", source="schedule:daily")])
    assert tick(store, 1, alone=False)[1]
    assert tick(store, 2, alone=False)[1]
    assert not tick(store, 3)[1]


def test_a_repeat_after_a_lost_reply_tells_nothing_twice(store: LeaseStore) -> None:
    task, step = sub("a", key="tick:1", source=NIGHTLY), Cursor(NIGHTLY, "", "1")
    entries = [
        Entry(journal=NIGHTLY, what="run", about="1", place=1, alone=True),
        Entry(journal=NIGHTLY, what="skipped", about="0", why="too old"),
    ]
    for _ in range(2):
        assert store.submit([task], step, entries)[0].id == "a"
    assert told(store) == [("1", "run", "a"), ("0", "skipped", "")]


def test_a_submit_that_is_refused_tells_nothing(store: LeaseStore) -> None:
    with pytest.raises(CursorMovedError):
        store.submit([], Cursor("x", "elsewhere", "1"), [Entry(journal=NIGHTLY, what="skipped")])
    assert told(store) == []


def test_a_journal_keeps_the_latest_entries(store: LeaseStore) -> None:
    for number in range(210):
        store.submit([], None, [Entry(journal=NIGHTLY, what="skipped", about=str(number))])
    assert store.client.llen("{test}:journal:" + NIGHTLY) == 200
    assert [entry.about for entry in store.journal(NIGHTLY, 3)] == ["209", "208", "207"]


def test_several_in_a_row_stand_in_one_entry_with_the_reason(store: LeaseStore) -> None:
    entry = Entry(journal=NIGHTLY, what="merged", about="a", until="c", count=3, why="späte Ticks")
    store.submit([], None, [entry])
    [found] = store.journal(NIGHTLY)
    assert (found.until, found.count, found.why, found.id) == ("c", 3, "späte Ticks", "")


def test_pruned_tasks_count_no_more_for_who_is_live(store: LeaseStore) -> None:
    tick(store, 1)
    store.settle(claim(store), State.SUCCEEDED, outcome="succeeded")
    store.prune(-1, 1 << 40)
    assert store.record("t1") is None
    assert tick(store, 2)[1]
    assert state(store, "t2") is State.QUEUED


def test_of_several_submits_in_one_trip_each_stands_for_itself(store: LeaseStore) -> None:
    store.submit([], Cursor("b", "", "elsewhere"))
    steps = [
        Step([sub(name)], Cursor(name, "", "1"), [Entry(journal=name, what="run", place=1)])
        for name in "abc"
    ]
    for new in (True, False):  # and again, after a lost reply
        first, moved, last = store.submit_all(steps)
        assert first == [Submitted("a", new)]
        assert isinstance(moved, CursorMovedError)
        assert moved.actual == "elsewhere"
        assert last == [Submitted("c", new)]
    assert [len(store.journal(name)) for name in "abc"] == [1, 0, 1]
    assert store.record("b") is None
    assert store.submit_all([]) == []


def test_half_a_character_stands_in_the_journal_as_an_escape(store: LeaseStore) -> None:
    """A source's error may quote what it answered, and JSON can write half a character."""
    said = Entry(journal="poller:news", what="failed", about="a\ud800", why="it has \udcff 😀")
    store.submit([], None, [said])
    [told] = store.journal("poller:news")
    assert (told.about, told.why) == ("a\\ud800", "it has \\udcff 😀")


def test_half_a_character_in_the_words_of_an_error_costs_no_task_its_retries(
    store: LeaseStore,
) -> None:
    store.submit([sub("a")])
    store.settle(claim(store), State.SCHEDULED, outcome="crashed", reason="no file caf\udce9")
    assert state(store, "a") is State.QUEUED
    record = store.record("a")
    assert record
    assert record.reason == "no file caf\\udce9"
    store.release("a", claim(store).token, outcome="interrupted", reason="\udce9")
    store.hold("a", "\udce9")
    assert state(store, "a") is State.HELD
