"""The gate: who is kept back by which entry, one probe when a limit's time is over, the day's budget."""

import time

from durable.costs import Cost
from durable.records import State
from durable.store import LeaseStore
from tests.unit.leasing import claim, expire, nothing, sub

LIMIT = "usage limit"
USUAL = "claude:default"


def close(store: LeaseStore, scope: str = USUAL, in_ms: int | None = None) -> None:
    until = None if in_ms is None else store.now_ms() + in_ms
    store.close_gate(scope, LIMIT, by="t", why="spent", until_ms=until)


def test_a_closed_gate_keeps_claude_back_and_a_pause_keeps_all_back(store: LeaseStore) -> None:
    store.submit([sub("c", kind="claude", priority=9), sub("p")])
    close(store)
    assert claim(store, "1").id == "p"
    store.submit([sub("p2")])
    store.close_gate("all", "pause", by="me", why="holiday")
    assert nothing(store).kept_back == "gate"
    assert store.open_gate("pause") == 1
    assert claim(store, "3").id == "p2"
    assert nothing(store).kept_back == "gate"
    store.open_gate()
    assert claim(store, "5").id == "c"


def test_an_open_gate_with_nothing_behind_it_keeps_nothing_back(store: LeaseStore) -> None:
    assert nothing(store).kept_back == ""
    store.submit([sub("c", kind="claude")])
    claim(store)
    close(store)
    assert nothing(store).kept_back == ""


def test_what_is_closed_for_all_claude_tasks_opens_by_itself(store: LeaseStore) -> None:
    store.submit([sub("c", kind="claude"), sub("d", kind="claude")])
    soon = store.now_ms() + 300
    store.close_gate("claude", "budget", by="t", why="spent", until_ms=soon)
    assert 0 <= nothing(store).due_in_ms <= 300
    while store.now_ms() < soon:
        time.sleep(0.005)
    assert [claim(store, n).id for n in "12"] == ["c", "d"]
    assert store.gate() == []


def test_one_credential_s_limit_leaves_the_others_alone(store: LeaseStore) -> None:
    store.submit(
        [sub("usual", kind="claude"), sub("key", kind="claude", credential="api_key"), sub("p")]
    )
    close(store)
    leases = [claim(store, n) for n in "12"]
    assert [(lease.id, lease.credential) for lease in leases] == [("key", "api_key"), ("p", "")]
    assert (leases[0].kind, leases[0].scope) == ("claude", "claude:api_key")
    record = store.record("key")
    assert record is not None
    assert record.kind == "claude"


def test_after_a_limit_one_task_tries_and_the_others_wait_for_it(store: LeaseStore) -> None:
    store.submit([sub(name, kind="claude") for name in "abc"])
    close(store, in_ms=-1)
    probe = claim(store, "1")
    assert probe.probe
    assert store.gate()[0].probe == probe.id
    waiting = nothing(store, "2", "another")
    assert (waiting.due_in_ms, waiting.kept_back) == (-1, "gate")  # nobody may spin meanwhile
    store.client.delete("{test}:wake:default")
    assert store.alive(probe) == 1
    assert store.client.zcard("{test}:wake:default") == 1  # whoever waits is told
    assert store.gate() == []
    assert store.alive(probe) == 0
    others = [claim(store, n) for n in "34"]
    assert [(o.id, o.probe) for o in others] == [("b", False), ("c", False)]


def test_a_probe_that_succeeds_without_a_sign_of_life_opens_the_gate_too(store: LeaseStore) -> None:
    store.submit([sub("a", kind="claude"), sub("b", kind="claude")])
    close(store, in_ms=-1)
    cost = [Cost(model="m", usd=0.1)]
    store.settle(claim(store, "1"), State.SUCCEEDED, outcome="succeeded", costs=cost)
    assert store.gate() == []


def test_a_probe_that_asked_for_nothing_opens_no_gate(store: LeaseStore) -> None:
    """It only wrote down the success of an attempt before it, which cost nothing now."""
    store.submit([sub("a", kind="claude"), sub("b", kind="claude")])
    close(store, in_ms=-1)
    store.settle(claim(store, "1"), State.SUCCEEDED, outcome="succeeded")
    assert len(store.gate()) == 1
    assert claim(store, "2").probe, "the next one tries"


def test_a_sign_of_life_of_one_credential_opens_no_other(store: LeaseStore) -> None:
    store.submit([sub("a", kind="claude")])
    close(store, in_ms=-1)
    close(store, "claude:api_key", in_ms=-1)
    assert store.alive(claim(store)) == 1
    assert [entry.scope for entry in store.gate()] == ["claude:api_key"]


def test_the_right_to_probe_falls_free_with_the_lease(store: LeaseStore) -> None:
    for end in ("release", "settle", "reap"):
        store.submit([sub(end, kind="claude")])
        close(store, in_ms=-1)
        probe = claim(store, end)
        if end == "release":
            store.release(probe.id, probe.token, outcome="interrupted", reason="")
        elif end == "settle":
            store.settle(probe, State.FAILED, outcome="crashed")
        else:
            expire(store, probe.id)
        assert store.gate()[0].probe == ""
        store.submit([sub(end + " next", kind="claude", priority=9)])
        assert claim(store, end + "2").probe
        store.client.flushall()


def test_a_probe_that_meets_the_limit_again_closes_the_gate_for_all(store: LeaseStore) -> None:
    store.submit([sub("a", kind="claude"), sub("b", kind="claude")])
    close(store, in_ms=-1)
    probe = claim(store, "1")
    close(store, in_ms=60_000)
    store.release(probe.id, probe.token, outcome="usage_limit", reason="again")
    assert nothing(store).due_in_ms > 59_000


def test_a_sign_of_life_opens_no_limit_that_came_later(store: LeaseStore) -> None:
    store.submit([sub("a", kind="claude"), sub("b", kind="claude")])
    close(store, in_ms=-1)
    probe = claim(store, "1")
    store.close_gate(USUAL, "login", by="t", why="logged out")
    assert store.alive(probe) == 1
    assert [entry.reason for entry in store.gate()] == ["login"]
    assert nothing(store).kept_back == "gate"


def test_a_guess_never_shortens_a_known_limit(store: LeaseStore) -> None:
    known = store.now_ms() + 3_600_000
    store.close_gate("claude", LIMIT, by="a", why="until four", until_ms=known)
    store.close_gate("claude", LIMIT, by="b", why="?", until_ms=known - 1_000_000)
    assert [(e.until_ms, e.why) for e in store.gate()] == [(known, "until four")]
    store.close_gate("claude", LIMIT, by="c", why="until five", until_ms=known + 1)
    assert [e.why for e in store.gate()] == ["until five"]


def test_the_end_of_one_limit_does_not_open_a_pause(store: LeaseStore) -> None:
    store.close_gate("claude", LIMIT, by="t", why="spent", until_ms=store.now_ms() - 1)
    store.close_gate("all", "pause", by="me", why="holiday")
    assert [e.reason for e in store.gate()] == ["pause"]
