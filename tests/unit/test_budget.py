"""The budgets: what a claim reserves, what is booked for whom and on which day, and what a lost run is charged."""

from collections.abc import Callable
from typing import Any

import pytest

from durable.costs import Cost, Unpriced
from durable.records import Budget, Lease, State
from durable.store import LeaseStore
from tests.unit.leasing import LEASE_MS, QUEUES, claim, expire, nothing, state, sub

BUDGET = Budget(10.0, 4.0)


def usd(amount: float) -> list[Cost]:
    return [Cost(model="m", usd=amount)]


def reserved_and_spent(store: LeaseStore) -> tuple[float, float]:
    today = store.today()
    return today.reserved_usd, today.usd


def test_a_claim_reserves_what_the_task_may_cost(store: LeaseStore) -> None:
    store.submit([sub("a", kind="claude"), sub("b", kind="claude", budget_usd=6.0)])
    first = claim(store, "1", budget=BUDGET)
    assert store.today().reserved_usd == 4.0
    claim(store, "2", "another", budget=BUDGET)
    assert store.today().reserved_usd == 10.0
    store.settle(first, State.SUCCEEDED, outcome="succeeded", costs=usd(0.5))
    assert reserved_and_spent(store) == (6.0, 0.5)


def test_a_task_that_does_not_fit_waits_for_what_others_have_reserved(store: LeaseStore) -> None:
    store.submit([sub(name, kind="claude") for name in "abc"] + [sub("p")])
    leases = [claim(store, str(n), str(n), budget=BUDGET) for n in range(2)]
    assert claim(store, "python", budget=BUDGET).id == "p"  # costs nothing
    assert nothing(store, budget=BUDGET).kept_back == "gate"
    store.client.delete("{test}:wake:default")
    store.settle(leases[0], State.SUCCEEDED, outcome="succeeded", costs=usd(0.1))
    assert store.client.zcard("{test}:wake:default") == 1  # whoever waits is told
    assert claim(store, "again", budget=BUDGET).id == "c"


def test_a_spent_day_is_said_so_and_a_claim_without_a_budget_does_not_care(
    store: LeaseStore,
) -> None:
    store.submit([sub("a", kind="claude"), sub("b", kind="claude")])
    lease = claim(store, "1", budget=BUDGET)
    store.settle(lease, State.SUCCEEDED, outcome="succeeded", costs=usd(7.0))
    assert nothing(store, budget=BUDGET).kept_back == "budget"
    assert claim(store, "2").id == "b"


def test_a_task_that_fits_into_no_day_is_held_alone_before_an_attempt(store: LeaseStore) -> None:
    big = sub("big-123456", kind="claude", budget_usd=30.0, lock="l")
    store.submit([big, sub("small", kind="claude", lock="l")])
    small = claim(store, "1", budget=BUDGET)
    assert small.id == "small"
    record = store.record("big-123456")
    assert record is not None
    assert (record.state, record.attempt) == (State.HELD, 0)
    assert "30.00 USD (max_budget_usd)" in record.reason
    assert "(budget_usd_per_day: 10.00)" in record.reason
    assert record.reason.endswith("run ./baton up, then ./baton retry big-1234")
    store.settle(small, State.SUCCEEDED, outcome="succeeded")
    store.requeue("big-123456")
    assert nothing(store, "2", "another", budget=BUDGET).kept_back == ""
    assert state(store, "big-123456") is State.HELD
    store.requeue("big-123456")
    assert claim(store, "3", "another", budget=Budget(30.0, 1.0)).id == "big-123456"


def test_what_a_task_has_cost_already_asks_for_no_room(store: LeaseStore) -> None:
    store.submit([sub("a", kind="claude", budget_usd=12.0)])
    lease = claim(store, "1")
    store.release("a", lease.token, outcome="interrupted", reason="", costs=usd(5.0))
    found = nothing(store, budget=BUDGET)
    assert (found.kept_back, state(store, "a")) == ("budget", State.QUEUED)  # for today only


def test_a_usual_limit_above_a_day_s_budget_reserves_all_of_it(store: LeaseStore) -> None:
    store.submit([sub("a", kind="claude")])
    claim(store, "1", budget=Budget(10.0, 12.0))
    assert store.today().reserved_usd == 10.0


def test_a_claim_names_the_task_that_does_not_fit_today(store: LeaseStore) -> None:
    store.submit([sub("a", kind="claude"), sub("big", kind="claude", budget_usd=9.0)])
    store.settle(claim(store, "1"), State.SUCCEEDED, outcome="succeeded", costs=usd(2.0))
    found = nothing(store, budget=BUDGET)
    assert (found.kept_back, found.task) == ("budget", "big")


@pytest.mark.parametrize("away", [LeaseStore.cancel, lambda s, one: s.hold(one, "by a person")])
def test_the_gate_opens_when_the_task_that_closed_it_waits_no_more(
    store: LeaseStore, away: Callable[[LeaseStore, str], State]
) -> None:
    store.submit([sub("big", kind="claude", budget_usd=9.0), sub("other", kind="claude")])
    until_ms = store.now_ms() + 60_000
    store.close_gate("claude", "budget", by="big", why="no room", until_ms=until_ms)
    store.close_gate("claude", "token budget", by="somebody", why="no room", until_ms=until_ms)
    away(store, "other")
    assert len(store.gate()) == 2
    store.client.delete("{test}:wake:default")
    away(store, "big")
    assert [entry.reason for entry in store.gate()] == ["token budget"]


def test_tasks_without_a_limit_of_their_own_reserve_nothing(store: LeaseStore) -> None:
    store.submit([sub("a", kind="claude"), sub("b", kind="claude")])
    first = claim(store, "1", budget=Budget(10.0))
    store.settle(first, State.SUCCEEDED, outcome="succeeded", costs=usd(12.0))
    assert nothing(store, budget=Budget(10.0)).kept_back == "budget"


def test_a_run_whose_end_nobody_saw_is_booked_at_its_reservation(store: LeaseStore) -> None:
    store.submit([sub("a", kind="claude")])
    lease = claim(store, "1", budget=BUDGET)
    store.started(lease, {"pid": 1}, "session")
    expire(store, "a")
    assert reserved_and_spent(store) == (0.0, 4.0)
    assert store.cost_so_far("a") == 0.0  # a charge is no price


def test_a_run_that_never_started_costs_nothing(store: LeaseStore) -> None:
    store.submit([sub("a", kind="claude")])
    claim(store, "1", budget=BUDGET)
    expire(store, "a")
    assert store.today().usd == 0.0
    found = store.claim("me", "2", QUEUES, LEASE_MS, budget=BUDGET)
    assert isinstance(found, Lease)
    assert (store.cost_so_far("a"), state(store, "a")) == (0.0, State.RUNNING)


# -- a run whose end nobody saw


def lose(store: LeaseStore, task_id: str, nonce: str, budget: Budget = BUDGET) -> Lease:
    """A run that began, and whose lease ran out."""
    lease = claim(store, nonce, "i:h:consumer-1", budget=budget)
    assert lease.id == task_id
    store.started(lease, {"pid": 1}, "session")
    expire(store, task_id)
    return lease


def test_what_it_really_cost_takes_the_place_of_the_charge_once(store: LeaseStore) -> None:
    store.submit([sub("a", kind="claude", source="cli")])
    lose(store, "a", "1")
    assert store.unpriced() == [Unpriced("a", 1, "i:h:consumer-1")]
    cost = Cost(model="m", usd=0.25, input=1, output=2, cache_write=3, cache_read=4)
    assert store.price("a", 1, [cost])
    assert not store.price("a", 1, [cost])
    assert reserved_and_spent(store) == (0.0, 0.25)
    assert store.unpriced() == []
    [row] = store.costs(1)
    assert (row.source, row.model, row.attempts, row.usd) == ("cli", "m", 1, 0.25)
    assert (row.input, row.output, row.cache_write, row.cache_read) == (1, 2, 3, 4)
    assert store.cost_so_far("a") == 0.25


def test_several_that_were_lost_one_after_the_other_are_priced_each(store: LeaseStore) -> None:
    store.submit([sub("a", kind="claude")])
    for number in ("1", "2"):
        lose(store, "a", number)
    assert store.today().usd == 8.0  # a charge is no price: it leaves a task its whole budget
    for attempt, amount in ((2, 0.5), (1, 0.25)):
        store.price("a", attempt, usd(amount))
    assert store.cost_so_far("a") == 0.75
    assert store.today().usd == 0.75


def test_a_lost_run_that_had_reserved_nothing_is_priced_as_well(store: LeaseStore) -> None:
    store.submit([sub("a", kind="claude")])
    lose(store, "a", "1", Budget())
    assert store.today().usd == 0.0
    assert store.price("a", 1, usd(0.5))
    assert store.today().usd == 0.5


def test_a_python_task_that_is_lost_is_charged_nothing(store: LeaseStore) -> None:
    store.submit([sub("a")])
    lose(store, "a", "1")
    assert store.unpriced() == []


def test_a_day_that_a_charge_had_spent_opens_again_when_that_was_less(store: LeaseStore) -> None:
    store.submit([sub(name, kind="claude", budget_usd=10.0) for name in "ab"])
    lose(store, "a", "1")
    assert nothing(store, budget=BUDGET).kept_back == "budget"
    store.close_gate("claude", "budget", by="t", why="spent", until_ms=store.now_ms() + 60_000)
    store.close_gate("all", "pause", by="t", why="a person")
    store.price("a", 1, [])
    assert [entry.reason for entry in store.gate()] == ["pause"]


def test_a_charge_is_corrected_on_the_day_that_it_was_made(store: LeaseStore) -> None:
    store.submit([sub("a", kind="claude")])
    lose(store, "a", "1", Budget(10.0, 4.0, offset_ms=0))
    nothing_today = Budget(10.0, 4.0, offset_ms=86_400_000)
    claim(store, "2", budget=nothing_today)
    store.price("a", 1, usd(0.5))
    assert store.today().usd == 0.0
    [row] = store.costs(2)
    assert (row.usd, row.attempts) == (0.5, 1)


def test_a_record_that_is_pruned_leaves_no_charge_to_be_priced(store: LeaseStore) -> None:
    store.submit([sub("a", kind="claude")])
    lose(store, "a", "1")
    store.cancel("a")
    assert store.prune(-1_000, 10**9) == ["a"]
    assert store.unpriced() == []
    assert not store.price("a", 1, usd(1))


# -- what a task may cost in all


def test_what_is_left_of_a_task_s_budget_is_what_its_next_attempt_reserves(
    store: LeaseStore,
) -> None:
    store.submit([sub("a", kind="claude")])
    first = claim(store, "1", budget=BUDGET)
    store.settle(first, State.SCHEDULED, outcome="crashed", costs=usd(1.5))
    second = claim(store, "2", budget=BUDGET)
    assert (store.cost_so_far("a"), store.today().reserved_usd) == (1.5, 2.5)
    store.release("a", second.token, outcome="interrupted", reason="", costs=usd(3.0))
    claim(store, "3", budget=BUDGET)
    assert (store.cost_so_far("a"), store.today().reserved_usd) == (4.5, 0.0)


def test_a_person_who_sends_a_task_back_gives_it_a_full_budget(store: LeaseStore) -> None:
    store.submit([sub("a", kind="claude")])
    store.settle(claim(store, "1"), State.FAILED, outcome="max_budget", costs=usd(4.0))
    store.requeue("a", resume=True)
    claim(store, "2", budget=BUDGET)
    assert (store.cost_so_far("a"), store.today().reserved_usd) == (0.0, 4.0)
    record = store.record("a")
    assert record is not None
    assert record.cost_usd == 4.0  # of all attempts there ever were


# -- tokens

TOKENS = Budget(daily_tokens=1000)


def took(tokens: int, **more: Any) -> list[Cost]:
    return [Cost(model="m", input=tokens - 3, output=2, cache_write=1, cache_read=10**6, **more)]


def test_before_any_run_has_ended_the_first_one_runs_alone(store: LeaseStore) -> None:
    store.submit([sub("a", kind="claude"), sub("b", kind="claude")])
    first = claim(store, "1", budget=TOKENS)
    assert store.today().reserved_tokens == 1000
    assert nothing(store, budget=TOKENS).kept_back == "gate"
    store.settle(first, State.SUCCEEDED, outcome="succeeded", costs=took(300))
    assert store.today().tokens == 300  # what is read from the cache does not count
    claim(store, "2", budget=TOKENS)
    assert store.today().reserved_tokens == 300


def test_later_ones_reserve_what_the_last_ones_took_on_average(store: LeaseStore) -> None:
    store.submit([sub(str(n), kind="claude") for n in range(5)])
    for number, tokens in enumerate((100, 180)):
        lease = claim(store, str(number), budget=TOKENS)
        store.settle(lease, State.SUCCEEDED, outcome="succeeded", costs=took(tokens))
    claim(store, "x", budget=TOKENS)
    assert store.today().reserved_tokens == 110  # 100 and an eighth of the 80 more
    record = store.record("1")
    assert record is not None
    assert (record.input_tokens, record.cache_read_tokens) == (177, 10**6)


def test_a_day_whose_tokens_are_used_is_said_so(store: LeaseStore) -> None:
    store.submit([sub("a", kind="claude"), sub("b", kind="claude"), sub("p")])
    lease = claim(store, "1", budget=TOKENS)
    store.settle(lease, State.SUCCEEDED, outcome="succeeded", costs=took(950))
    assert claim(store, "2", budget=TOKENS).id == "p"
    assert nothing(store, budget=TOKENS).kept_back == "token budget"
    assert claim(store, "3", budget=Budget(daily_tokens=2000)).id == "b"


def test_a_lost_run_is_charged_the_tokens_that_it_had_reserved(store: LeaseStore) -> None:
    store.submit([sub("a", kind="claude")])
    lose(store, "a", "1", TOKENS)
    assert store.today().tokens == 1000
    store.price("a", 1, took(50))
    assert (store.today().tokens, store.today().reserved_tokens) == (50, 0)


# -- days


def test_a_day_is_one_of_the_user_s_zone(store: LeaseStore) -> None:
    """Here midnight is moved to a minute ago, then to a minute ahead."""
    store.submit([sub(name, kind="claude") for name in "abc"])
    into_day = store.now_ms() % 86_400_000
    late, early = (Budget(10.0, 4.0, offset_ms=60_000 * sign - into_day) for sign in (1, -1))
    store.settle(claim(store, "1", budget=early), State.FAILED, outcome="o", costs=usd(3.0))
    assert store.today().usd == 3.0
    lease = claim(store, "2", budget=late)
    assert store.today().usd == 0.0
    store.settle(lease, State.FAILED, outcome="o", costs=usd(1.0))
    assert [row.usd for row in store.costs(2)] == [1.0, 3.0]
    assert [row.usd for row in store.costs(1)] == [1.0]


def test_each_day_s_costs_are_told_by_source_and_model(store: LeaseStore) -> None:
    store.submit(
        [sub("a", kind="claude", source="watcher:in|box"), sub("b", kind="claude", source="task:x")]
    )
    both = [Cost(model="m 1\n", usd=0.5, input=1), Cost(model="m2", usd=0.25)]
    store.settle(claim(store, "1"), State.SUCCEEDED, outcome="o", costs=both)
    store.settle(claim(store, "2"), State.SUCCEEDED, outcome="o", costs=usd(1.0))
    rows = [(row.source, row.model, row.usd, row.attempts) for row in store.costs(1)]
    assert rows == [
        ("task", "m", 1.0, 1),
        ("watcher:in|box", "m2", 0.25, 1),
        ("watcher:in|box", "m_1_", 0.5, 1),
    ]


def test_old_days_are_forgotten(store: LeaseStore) -> None:
    store.submit([sub("a", kind="claude"), sub("b", kind="claude")])
    day_ms = 86_400_000
    store.settle(
        claim(store, "1", budget=Budget(offset_ms=0)), State.FAILED, outcome="o", costs=usd(1.0)
    )
    for days, left in ((399, 1), (400, 0)):
        nothing_due = Budget(offset_ms=days * day_ms)
        store.claim("me", f"later {days}", ["empty"], LEASE_MS, budget=nothing_due)
        store.prune(10**12, 10**12)
        assert len(store.costs(1000)) == left
    assert store.client.hlen("{test}:spent") == 0


def test_what_a_lost_run_cost_before_a_person_sent_the_task_in_again_is_no_part_of_its_new_budget(
    store: LeaseStore,
) -> None:
    """And the charge that stood for it then hides nothing of what the next attempt costs."""
    store.submit([sub("a", kind="claude")])
    store.started(claim(store, "1", budget=BUDGET), {"pid": 1}, "session")
    store.cancel("a")
    expire(store, "a")
    assert store.requeue("a") is State.CANCELLED
    lease = claim(store, "2", budget=BUDGET)
    assert store.cost_so_far("a") == 0.0
    assert store.price("a", 1, usd(0.5))
    assert store.cost_so_far("a") == 0.0
    store.settle(lease, State.SCHEDULED, outcome="crashed", costs=usd(1.5))
    assert store.cost_so_far("a") == 1.5
    store.started(claim(store, "3", budget=BUDGET), {"pid": 1}, "session")
    expire(store, "a")
    assert store.price("a", 3, usd(0.25))
    assert store.cost_so_far("a") == 1.75
