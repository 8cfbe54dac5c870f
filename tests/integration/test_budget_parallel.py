"""Many owners at once on a real server: a day's budget is never overrun by more than was reserved, and is used up."""

from __future__ import annotations

import random
import threading

from durable.costs import Cost
from durable.records import Budget, Lease, State, Submission
from durable.store import LeaseStore
from tests.conftest import PrivateServer

OWNERS, TASKS = 8, 300
BUDGET = Budget(10.0, 1.0, offset_ms=0)
MICRO = 1_000_000  # USD in whole numbers, so that sums are exact


class Day:
    """One day of work by many owners, some of whose runs are lost."""

    def __init__(self, server: PrivateServer) -> None:
        self.server = server
        self.reaping = threading.Lock()
        self.cost_micros: list[int] = []
        self.most_at_once = 0.0
        self.said: list[str] = []
        self.wrong: list[BaseException] = []

    def store(self) -> LeaseStore:
        return LeaseStore(self.server.client(), "{test}:")

    def work(self, owner: str) -> None:
        """Claim and end tasks until the day's budget is spent."""
        try:
            self._work(owner, self.store())
        except BaseException as error:  # noqa: BLE001  # a thread's failure is the test's
            self.wrong.append(error)

    def _work(self, owner: str, store: LeaseStore) -> None:
        number = 0
        while True:
            number += 1
            found = store.claim(owner, f"{owner}-{number}", ["default"], 30_000, budget=BUDGET)
            self.most_at_once = max(self.most_at_once, committed_usd(store))
            if isinstance(found, Lease):
                self._end(store, found)
            elif found.kept_back == "budget":
                self.said.append(owner)
                return
            else:
                store.wait_for_work(["default"], owner, 0.05)

    def _end(self, store: LeaseStore, lease: Lease) -> None:
        micros = random.randrange(MICRO // 4)
        self.cost_micros.append(micros)
        costs = [Cost(model="m", usd=micros / MICRO)]
        how = random.random()
        if how < 0.6:
            store.settle(lease, State.SUCCEEDED, outcome="succeeded", costs=costs)
        elif how < 0.8:
            store.release(lease.id, lease.token, outcome="interrupted", reason="", costs=costs)
        else:
            self._lose(store, lease, costs)

    def _lose(self, store: LeaseStore, lease: Lease, costs: list[Cost]) -> None:
        """Nobody sees the end of the run; later somebody prices it, and perhaps another at the same time."""
        store.started(lease, {"pid": 1}, "session")
        with self.reaping:  # or one thread's expiry would hit the lease of the task's next owner
            for _ in ("suspected", "given on"):
                store.client.zadd("{test}:leases", {lease.id: 1})
                store.reap(0)
        store.price(lease.id, lease.attempt, costs)
        store.price(lease.id, lease.attempt, costs)


def committed_usd(store: LeaseStore) -> float:
    """What is spent and reserved at one moment."""
    pipe = store.client.pipeline(transaction=True)
    pipe.hvals("{test}:spent")
    pipe.hvals("{test}:reserved")
    spent, reserved = pipe.execute()
    return sum(map(float, spent)) + sum(map(float, reserved))


def test_parallel_tasks_never_overrun_a_day_s_budget_together(
    private_server: PrivateServer,
) -> None:
    day = Day(private_server)
    store = day.store()
    store.submit([Submission(id=str(n), body=b"{}", kind="claude") for n in range(TASKS)])
    owners = [threading.Thread(target=day.work, args=(f"o{n}",)) for n in range(OWNERS)]
    for thread in owners:
        thread.start()
    for thread in owners:
        thread.join(60)
    assert not day.wrong
    assert len(day.said) == OWNERS
    assert day.most_at_once <= 10.0 + 1e-6
    today = store.today()
    assert (today.reserved_usd, store.unpriced()) == (0.0, [])
    assert round(today.usd * MICRO) == sum(day.cost_micros)
    assert 9.0 < today.usd <= 10.0  # and it was used: no other task fitted any more
    assert round(sum(row.usd for row in store.costs(1)) * MICRO) == sum(day.cost_micros)
    assert sum(row.attempts for row in store.costs(1)) == len(day.cost_micros)
