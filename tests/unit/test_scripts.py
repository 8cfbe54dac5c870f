"""The table of every script: what it answers and where the record stands afterwards, repeats included."""

import pytest

from durable.errors import CursorMovedError, NoSuchTaskError
from durable.records import MOVES, Claim, Cursor, Lease, Nothing, State, Submission
from durable.store import LeaseStore
from durable.wire import STARTS_CAP
from tests.unit.leasing import QUEUES, claim, state, sub


def test_a_submit_that_is_repeated_adds_nothing(store: LeaseStore) -> None:
    assert [s.new for s in store.submit([sub("a"), sub("b")])] == [True, True]
    assert [s.new for s in store.submit([sub("a"), sub("c")])] == [False, True]
    assert store.counts()[State.QUEUED] == 3


def test_a_key_stands_for_its_first_task(store: LeaseStore) -> None:
    store.submit([sub("a", key="drop:1")])
    again = store.submit([sub("b", key="drop:1")])[0]
    assert (again.id, again.new) == ("a", False)
    assert store.record("b") is None


def test_a_batch_is_refused_whole_when_its_cursor_moved(store: LeaseStore) -> None:
    store.submit([sub("a")], Cursor("feed", "", "1"))
    with pytest.raises(CursorMovedError) as refused:
        store.submit([sub("b")], Cursor("feed", "", "2"))
    assert refused.value.actual == "1"
    assert store.record("b") is None
    assert store.read_cursor("feed") == "1"


def test_a_cursor_submit_whose_reply_was_lost_is_a_success_the_second_time(
    store: LeaseStore,
) -> None:
    step = Cursor("feed", "", "1")
    assert store.submit([sub("a")], step)[0].new
    assert not store.submit([sub("a")], step)[0].new
    assert store.counts()[State.QUEUED] == 1


def test_a_cursor_that_another_moved_to_the_same_place_does_not_answer_for_tasks_that_are_not_there(
    store: LeaseStore,
) -> None:
    store.submit([sub("a")], Cursor("feed", "", "1"))
    with pytest.raises(CursorMovedError):
        store.submit([sub("b")], Cursor("feed", "", "1"))
    assert store.record("b") is None


def test_a_cursor_submit_that_is_repeated_with_new_ids_is_answered_with_the_old_ones(
    store: LeaseStore,
) -> None:
    store.submit([sub("a", key="tick:1")], Cursor("feed", "", "1"))
    again = store.submit([sub("b", key="tick:1")], Cursor("feed", "", "1"))[0]
    assert (again.id, again.new) == ("a", False)
    assert store.record("b") is None


def test_the_same_nonce_gets_the_same_lease_and_another_gets_another(store: LeaseStore) -> None:
    store.submit([sub("a"), sub("b")])
    first, again = claim(store, "n1"), claim(store, "n1")
    assert (first.id, first.token) == (again.id, again.token)
    assert claim(store, "n2").id != first.id


def test_a_nonce_whose_lease_ended_gets_new_work(store: LeaseStore) -> None:
    store.submit([sub("a"), sub("b")])
    first = claim(store, "n1")
    store.settle(first, State.SUCCEEDED, outcome="succeeded")
    assert claim(store, "n1").id == "b"


def test_priority_decides_then_the_order_of_arrival(store: LeaseStore) -> None:
    store.submit([sub("low", priority=-1), sub("one"), sub("two"), sub("high", priority=7)])
    order = [claim(store, str(n)).id for n in range(4)]
    assert order == ["high", "one", "two", "low"]


def test_a_task_of_another_queue_is_left_alone(store: LeaseStore) -> None:
    store.submit([sub("gpu", queue="gpu")])
    assert isinstance(store.claim("me", "n", QUEUES, 1000), Nothing)
    assert isinstance(store.claim("me", "n", ("default", "gpu"), 1000), Lease)


def test_a_due_task_is_moved_and_one_that_is_not_says_when(store: LeaseStore) -> None:
    now = store.now_ms()
    store.submit([sub("later", due_ms=now + 60_000)])
    answer = store.claim("me", "n", QUEUES, 1000)
    assert isinstance(answer, Nothing)
    assert 59_000 < answer.due_in_ms <= 60_000
    store.submit([sub("past", due_ms=now - 5)])
    assert claim(store).id == "past"


def test_an_id_without_a_message_fails_with_its_reason_and_stops_nobody(store: LeaseStore) -> None:
    store.client.sadd("{test}:lanes", "default|python")
    store.client.zadd("{test}:ready:default:python", {"ghost": -1e18})
    store.submit([sub("real")])
    assert claim(store).id == "real"
    record = store.record("ghost")
    assert record is not None
    assert record.state is State.FAILED
    assert "no message" in record.reason


def test_a_task_that_never_comes_to_an_end_is_held(store: LeaseStore) -> None:
    store.submit([sub("poison")])
    for n in range(STARTS_CAP):
        lease = claim(store, str(n))
        store.release(lease.id, lease.token, outcome="interrupted", reason="", excused=False)
    assert isinstance(store.claim("me", "last", QUEUES, 1000), Nothing)
    assert state(store, "poison") is State.HELD
    store.requeue("poison")
    assert claim(store, "after a person").attempt == STARTS_CAP + 1


def test_what_costs_nothing_never_holds_a_task(store: LeaseStore) -> None:
    store.submit([sub("patient")])
    for n in range(STARTS_CAP * 3):
        lease = claim(store, str(n))
        store.release(lease.id, lease.token, outcome="usage_limit", reason="spent")
    assert state(store, "patient") is State.QUEUED


def test_a_cancel_is_not_forgotten_by_a_retry(store: LeaseStore) -> None:
    for end in (State.SCHEDULED, State.HELD):
        store.submit([sub(end.value)])
        lease = claim(store, end.value)
        store.cancel(end.value)
        assert store.settle(lease, end, outcome="crashed")
        assert store.settle(lease, end, outcome="crashed")
        assert state(store, end.value) is State.CANCELLED


def test_a_repeated_claim_renews_the_lease(store: LeaseStore) -> None:
    store.submit([sub("a")])
    store.claim("me", "n", QUEUES, -1)
    store.reap(grace_ms=-1)
    claim(store, "n")
    assert store.reap(grace_ms=0) == []


def test_a_settle_that_is_repeated_gets_the_same_answer(store: LeaseStore) -> None:
    store.submit([sub("a")])
    lease = claim(store)
    follow = [sub("next")]
    for _ in range(2):
        assert store.settle(lease, State.SUCCEEDED, outcome="succeeded", result=b"1", follow=follow)
    assert state(store, "a") is State.SUCCEEDED
    assert store.result("a") == b"1"
    assert store.counts()[State.QUEUED] == 1


def test_the_end_of_a_task_brings_the_next_lease(store: LeaseStore) -> None:
    store.submit([Submission(id="a", body=b"{}"), Submission(id="b", body=b"{}")])
    first = store.claim("me", "n1", ["default"], 30_000)
    assert isinstance(first, Lease)
    then = Claim(owner="me", nonce="n2", queues=["default"], lease_ms=30_000)
    assert store.settle(first, State.SUCCEEDED, outcome="succeeded", then=then)
    assert isinstance(then.found, Lease)
    assert then.found.id == "b"
    again = Claim(owner="me", nonce="n2", queues=["default"], lease_ms=30_000)
    assert store.settle(first, State.SUCCEEDED, outcome="succeeded", then=again)
    assert again.found == then.found  # the reply was lost: the same answers


def test_the_next_lease_survives_a_function_flush(store: LeaseStore) -> None:
    store.submit([Submission(id="a", body=b"{}"), Submission(id="b", body=b"{}")])
    first = store.claim("me", "n1", ["default"], 30_000)
    assert isinstance(first, Lease)
    store.client.function_flush()
    then = Claim(owner="me", nonce="n2", queues=["default"], lease_ms=30_000)
    assert store.settle(first, State.SUCCEEDED, outcome="succeeded", then=then)
    assert isinstance(then.found, Lease)


def test_the_result_of_a_stale_owner_is_refused(store: LeaseStore) -> None:
    store.submit([sub("a")])
    old = claim(store, "n1")
    store.release(old.id, old.token, outcome="interrupted", reason="")
    new = claim(store, "n2", "another")
    assert not store.settle(old, State.FAILED, outcome="crashed")
    assert not store.release(old.id, old.token, outcome="interrupted", reason="")
    assert store.settle(new, State.SUCCEEDED, outcome="succeeded")


def test_a_retry_moves_the_record_and_counts(store: LeaseStore) -> None:
    store.submit([sub("a")])
    lease = claim(store)
    store.settle(
        lease, State.SCHEDULED, outcome="crashed", reason="exit 1", retry_ms=60_000, body=b"2"
    )
    record = store.record("a")
    assert record is not None
    assert (record.state, record.counted, record.body) == (State.SCHEDULED, 1, b"2")


def test_a_released_task_goes_to_the_head_and_does_not_count(store: LeaseStore) -> None:
    store.submit([sub("a"), sub("b")])
    first = claim(store, "1")
    store.release(first.id, first.token, outcome="interrupted", reason="stopped")
    again = claim(store, "2")
    assert (again.id, again.counted, again.attempt) == ("a", 0, 2)


def test_reap_suspects_first_and_gives_back_second(store: LeaseStore) -> None:
    store.submit([sub("a")])
    lease = store.claim("gone", "n", QUEUES, -1)
    assert isinstance(lease, Lease)
    assert store.reap(grace_ms=-1) == [("a", "suspected")]
    assert store.reap(grace_ms=0) == [("a", "requeued")]
    assert not store.settle(lease, State.SUCCEEDED, outcome="succeeded")
    assert claim(store, "n2").id == "a"


def test_a_beat_clears_the_suspicion(store: LeaseStore) -> None:
    store.submit([sub("a")])
    lease = store.claim("slow", "n", QUEUES, -1)
    assert isinstance(lease, Lease)
    store.reap(grace_ms=-1)
    assert store.beat([("a", lease.token)], 30_000) == ["ok"]
    assert store.reap(grace_ms=0) == []


def test_a_beat_for_a_lease_of_somebody_else_is_lost(store: LeaseStore) -> None:
    store.submit([sub("a")])
    lease = claim(store)
    assert store.beat([("a", lease.token), ("a", lease.token + 1), ("nothing", 1)], 1000) == [
        "ok",
        "lost",
        "lost",
    ]


def test_cancel_ends_a_waiting_task_and_marks_a_running_one(store: LeaseStore) -> None:
    store.submit([sub("a"), sub("later", due_ms=store.now_ms() + 60_000), sub("b")])
    assert store.cancel("b") is State.QUEUED
    assert store.cancel("later") is State.SCHEDULED
    lease = claim(store)
    assert store.cancel("a") is State.RUNNING
    assert store.beat([("a", lease.token)], 1000) == ["cancel"]
    assert store.wait_for_poke("me", 0.1)
    assert (state(store, "b"), state(store, "later")) == (State.CANCELLED, State.CANCELLED)
    assert store.cancel("b") is State.CANCELLED


def test_a_cancelled_task_that_is_given_back_stays_cancelled(store: LeaseStore) -> None:
    store.submit([sub("a")])
    lease = claim(store)
    store.cancel("a")
    store.release("a", lease.token, outcome="interrupted", reason="stopped")
    assert state(store, "a") is State.CANCELLED


def test_an_id_is_found_by_a_prefix_that_is_its_own(store: LeaseStore) -> None:
    store.submit([sub("abc1"), sub("abd2")])
    assert store.find("abc") == "abc1"
    for prefix in ("ab", "x", ""):
        with pytest.raises(NoSuchTaskError):
            store.find(prefix)


def test_old_records_are_pruned_in_bounded_steps_and_their_keys_later(store: LeaseStore) -> None:
    store.submit([sub(f"t{n}", key=f"k{n}") for n in range(5)])
    for n in range(4):
        store.settle(claim(store, str(n)), State.SUCCEEDED, outcome="succeeded")
    assert store.prune(keep_ms=60_000, keys_kept_ms=60_000) == []
    assert len(store.prune(keep_ms=-1, keys_kept_ms=60_000, limit=3)) == 3
    assert len(store.prune(keep_ms=-1, keys_kept_ms=60_000, limit=3)) == 1
    assert store.record("t0") is None
    assert store.counts()[State.SUCCEEDED] == 0
    assert not store.submit([sub("again", key="k0")])[0].new
    store.prune(keep_ms=-1, keys_kept_ms=-1)
    assert store.submit([sub("again", key="k0")])[0].new
    assert not store.submit([sub("t4b", key="k4")])[0].new  # its task still waits


def test_a_record_that_stands_nowhere_is_mended(store: LeaseStore) -> None:
    store.submit([sub("a"), sub("b"), sub("c"), sub("d", due_ms=store.now_ms() + 60_000)])
    lease = claim(store)
    for key in ("ready:default:python", "leases", "scheduled"):
        store.client.delete("{test}:" + key)
    after, mended = store.reconcile(limit=2)
    assert (after, mended) == ("b", ["a", "b"])
    after, more = store.reconcile(after, limit=3)
    assert (after, more) == ("", ["c", "d"])
    assert store.reconcile() == ("", [])
    assert store.counts()[State.QUEUED] == 4
    assert not store.settle(lease, State.SUCCEEDED, outcome="succeeded")
    again = [claim(store, nonce) for nonce in ("one", "two")]
    assert sorted((found.id, found.outcome) for found in again) == [("c", ""), ("d", "")]
    assert store.record("a").outcome == "interrupted"  # type: ignore[union-attr]


def test_a_waiting_task_is_held_and_hastened_by_a_person(store: LeaseStore) -> None:
    store.submit([sub("a"), sub("b"), sub("c", due_ms=store.now_ms() + 60_000)])
    assert store.hold("a", "not today") is State.QUEUED
    record = store.record("a")
    assert record is not None
    assert (record.state, record.reason) == (State.HELD, "not today")
    assert store.hasten("c") is State.SCHEDULED
    assert claim(store, "1").id == "c"
    assert store.hold("c", "too late") is State.RUNNING
    assert state(store, "c") is State.RUNNING
    assert store.requeue("a") is State.HELD


def test_a_wanted_task_waits_for_its_watcher_and_is_requeued_or_refused(store: LeaseStore) -> None:
    store.submit([sub("a", source="watcher:w"), sub("b", source="watcher:w")])
    assert store.want("a") is State.QUEUED
    assert store.wanted("watcher:w") == {}
    for nonce in ("1", "2"):
        store.settle(claim(store, nonce), State.FAILED, outcome="crashed")
    assert store.placed({"a": '{"path": "x"}', "nobody": "{}"}) == 1
    assert [store.want("a"), store.want("b", resume=True)] == [State.FAILED] * 2
    assert store.wanted("watcher:w") == {"a": False, "b": True}
    assert store.refuse("watcher:w", "a", "gone")
    assert not store.refuse("watcher:w", "a", "gone twice")
    found = store.record("a")
    assert found is not None
    assert (found.state, found.refused, found.file) == (State.FAILED, "gone", '{"path": "x"}')
    store.want("a")
    assert store.record("a").refused == ""  # type: ignore[union-attr]
    assert [store.requeue("a"), store.requeue("b", resume=True)] == [State.FAILED] * 2
    assert store.wanted("watcher:w") == {}


def test_libraries_of_other_versions_are_removed_and_nobody_else_s(store: LeaseStore) -> None:
    store.submit([sub("a")])
    register = "redis.register_function('{}', function(keys, args) return 1 end)"
    for name in ("baton_0123456789ab", "somebody"):
        store.client.function_load(f"#!lua name={name}\n{register.format(name)}")
    assert store.forget_older_libraries() == ["baton_0123456789ab"]
    assert store.forget_older_libraries() == []
    assert store.client.fcall("somebody", 0) == 1
    store.client.function_delete("somebody")
    assert claim(store).id == "a"


def test_who_took_a_wake_up_passes_it_on_when_more_is_left(store: LeaseStore) -> None:
    store.submit([sub("a"), sub("b"), sub("c")])
    store.client.delete("{test}:wake:default")
    first = claim(store, "1")
    assert store.client.zcard("{test}:wake:default") == 1
    store.client.delete("{test}:wake:default")
    then = Claim(owner="me", nonce="2", queues=QUEUES, lease_ms=30_000)  # nobody was woken for it
    store.settle(first, State.SUCCEEDED, outcome="succeeded", then=then)
    assert store.client.zcard("{test}:wake:default") == 0
    claim(store, "3")
    assert store.client.zcard("{test}:wake:default") == 0  # nothing is left


def test_the_revocation_of_a_running_task_is_gone_with_it(store: LeaseStore) -> None:
    store.submit([sub("a")])
    lease = claim(store)
    store.client.set("{test}:kv:r:a", b"revoked")
    store.client.zadd("{test}:kv", {"r:a": 0})
    store.cancel("a")
    store.settle(lease, State.CANCELLED, outcome="cancelled")
    assert not store.client.exists("{test}:kv:r:a", "{test}:kv")


def test_a_task_that_is_sent_back_begins_afresh_or_goes_on(store: LeaseStore) -> None:
    for resume, outcome in ((False, ""), (True, "max_turns")):
        store.submit([sub(str(resume))])
        store.settle(claim(store, f"1{resume}"), State.FAILED, outcome="max_turns")
        store.requeue(str(resume), resume=resume)
        assert claim(store, f"2{resume}").outcome == outcome


def test_a_held_task_that_is_sent_back_goes_on_in_any_case(store: LeaseStore) -> None:
    """It was not over: a person only put it aside, or was asked."""
    store.submit([sub("a")])
    store.settle(claim(store, "1"), State.HELD, outcome="crashed", reason="look at it")
    store.requeue("a")
    assert claim(store, "2").outcome == "crashed"


def test_tasks_are_counted_by_their_source(store: LeaseStore) -> None:
    store.submit([sub(i, source="cli") for i in "abcd"] + [sub("follows", source="task:a")])
    store.settle(claim(store, "1"), State.SUCCEEDED, outcome="succeeded")
    claim(store, "2")
    store.hold("c", "not today")
    assert counted(store, "cli") == {"queued": 1, "running": 1, "held": 1, "succeeded": 1}
    assert counted(store, "task") == {"queued": 1}
    store.requeue("c")
    store.cancel("d")
    assert counted(store, "cli") == {"queued": 1, "running": 1, "succeeded": 1, "cancelled": 1}
    store.requeue("d")
    store.prune(-1, -1)
    assert counted(store, "cli") == {"queued": 2, "running": 1}


def counted(store: LeaseStore, source: str) -> dict[str, int]:
    return {s.value: n for s, n in store.counts_by_source()[source].items() if n}


def test_every_move_that_a_script_makes_is_a_legal_one(store: LeaseStore) -> None:
    """Drives a task through every verb from every state and compares with the table of moves."""
    for begin in State:
        for verb in ("claim", "cancel", "requeue", "settle", "release", "reap", "hold", "hasten"):
            task_id = f"{begin.value}-{verb}"
            _bring_to(store, task_id, begin)
            _apply(store, task_id, verb)
            after = state(store, task_id)
            assert after is begin or after in MOVES[begin], (begin, verb, after)
            store.client.flushall()


def _bring_to(store: LeaseStore, task_id: str, goal: State) -> None:
    due = store.now_ms() + 60_000 if goal is State.SCHEDULED else 0
    store.submit([sub(task_id, due_ms=due)])
    if goal in (State.QUEUED, State.SCHEDULED):
        return
    lease = claim(store, task_id)
    if goal is not State.RUNNING:
        store.settle(lease, goal, outcome="test")


def _apply(store: LeaseStore, task_id: str, verb: str) -> None:
    record = store.record(task_id)
    assert record is not None
    if verb == "claim":
        store.claim("other", "n", QUEUES, 1000)
    elif verb in ("cancel", "requeue"):
        getattr(store, verb)(task_id)
    elif verb == "hold":
        store.hold(task_id, "by a person")
    elif verb == "hasten":
        store.hasten(task_id)
    elif verb == "release":
        store.release(task_id, record.token, outcome="", reason="")
    elif verb == "reap":
        store.reap(0)
    else:
        lease = Lease(
            id=task_id,
            token=record.token,
            attempt=1,
            counted=0,
            body=b"",
            kind="",
            source="",
            name="",
            queue="",
        )
        store.settle(lease, State.FAILED, outcome="crashed")


def test_waiting_tasks_are_listed_in_the_order_in_which_they_will_run(store: LeaseStore) -> None:
    store.submit(
        [sub("c", kind="claude"), sub("p"), sub("g", queue="gpu"), sub("first", priority=3)]
    )
    listed = [record.id for record in store.page(State.QUEUED)]
    assert listed == ["first", "c", "p", "g"]
    assert [r.id for r in store.page(State.QUEUED, limit=2, offset=1)] == ["c", "p"]
