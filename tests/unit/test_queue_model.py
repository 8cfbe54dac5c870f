"""The scripts against a small model: whatever is called in whatever order, each id stands in exactly one structure."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from durable.errors import CursorMovedError, NoSuchTaskError
from durable.records import FINAL, MOVES, Cursor, Lease, State, Submission, Submitted
from durable.store import LeaseStore

LEASE_MS = 30_000
QUEUES = ("default", "gpu")
OWNERS = st.sampled_from(["i:h:one", "i:h:two"])
LOCKS = st.sampled_from(["", "", "repo"])
IDS = st.sampled_from("abcd")
KEYS = st.sampled_from(["", "", "k1", "k2"])
INDEX = {State.RUNNING: "leases", State.SCHEDULED: "scheduled", State.HELD: "held"}


@dataclass
class Known:
    """What the model expects of one task."""

    state: State
    key: str
    queue: str
    lock: str = ""
    token: int = 0
    settled: int = 0
    attempt: int = 0
    counted: int = 0
    suspected: bool = False
    cancel: bool = False


@dataclass
class Model:
    """What the queue should hold."""

    tasks: dict[str, Known] = field(default_factory=dict)
    cursor: str = ""
    token: int = 0

    def id_of(self, task_id: str, key: str) -> str | None:
        """The id that stands for a submission already, if any."""
        if task_id in self.tasks:
            return task_id
        return next((i for i, known in self.tasks.items() if key and known.key == key), None)

    def put(self, task: Submission) -> tuple[str, bool]:
        """Expected answer of a submit."""
        there = self.id_of(task.id, task.key)
        if there is not None:
            return there, False
        state = State.SCHEDULED if task.due_ms else State.QUEUED
        self.tasks[task.id] = Known(state, task.key, task.queue, task.lock)
        return task.id, True

    def may_run(self, known: Known) -> bool:
        """Whether nobody runs under its lock."""
        runs = (k for k in self.tasks.values() if k.state is State.RUNNING)
        return not known.lock or all(k.lock != known.lock for k in runs)

    def owns(self, lease: Lease) -> bool:
        """Whether this lease is the one that holds now."""
        known = self.tasks[lease.id]
        return known.state is State.RUNNING and known.token == lease.token


class QueueMachine(RuleBasedStateMachine):
    """Every verb of the store, in any order and with stale leases, against the model."""

    leases = Bundle("leases")

    def __init__(self, client: redis.Redis) -> None:
        super().__init__()
        client.flushall()
        self.client: Any = client
        self.store = LeaseStore(client, "{test}:")
        self.model = Model()
        self.nonces = 0
        self.last: dict[str, tuple[str, Lease]] = {}

    @initialize(target=leases)
    def begin(self) -> Any:
        """Two tasks that run and one that waits: most of what can go wrong begins with a lease."""
        self.submit(["a", "b", "c"], "", "default", "", later=False)
        return multiple(self.claim("i:h:one", "both"), self.claim("i:h:two", "both"))

    # -- in

    @rule(
        ids=st.lists(IDS, max_size=3),
        key=KEYS,
        queue=st.sampled_from(QUEUES),
        lock=LOCKS,
        later=st.booleans(),
    )
    def submit(self, ids: list[str], key: str, queue: str, lock: str, later: bool) -> None:
        """A batch without a cursor."""
        due_ms = 2**42 if later else 0
        batch = [sub(i, key=key, queue=queue, lock=lock, due_ms=due_ms) for i in ids]
        expected = [self.model.put(task) for task in batch]
        assert [(s.id, s.new) for s in self.store.submit(batch)] == expected

    @rule(task_id=IDS, expected=st.sampled_from(["", "1", "2"]), to=st.sampled_from(["1", "2"]))
    def submit_with_cursor(self, task_id: str, expected: str, to: str) -> None:
        """One task and a cursor; refused whole when the cursor is elsewhere."""
        step = Cursor("feed", expected, to)
        if expected == self.model.cursor:
            answer = self.model.put(sub(task_id))
            assert [(s.id, s.new) for s in self.store.submit([sub(task_id)], step)] == [answer]
            self.model.cursor = to
            return
        if to == self.model.cursor and task_id in self.model.tasks:  # a repeat after a lost reply
            assert self.store.submit([sub(task_id)], step) == [Submitted(task_id, False)]
        else:
            with pytest.raises(CursorMovedError) as moved:
                self.store.submit([sub(task_id)], step)
            assert moved.value.actual == self.model.cursor
        assert self.store.read_cursor("feed") == self.model.cursor

    # -- consumers

    @rule(target=leases, owner=OWNERS, queue=st.sampled_from([*QUEUES, "both"]))
    def claim_new(self, owner: str, queue: str) -> Any:
        """A new nonce: any ready task of these queues, with a token that was never there before."""
        return self.claim(owner, queue)

    @rule(target=leases, lease=leases, owner=OWNERS)
    def give_on(self, lease: Lease, owner: str) -> Any:
        """Its owner is not heard of, and another gets the task: from here on the lease is stale."""
        if self.model.owns(lease):
            known = self.model.tasks[lease.id]
            while known.state is State.RUNNING:
                self._expire(lease.id, known)
        return self.claim(owner, "both")

    def claim(self, owner: str, queue: str) -> Any:
        """As `claim_new`; nothing when the queues are empty."""
        self.nonces += 1
        nonce = str(self.nonces)
        queues = QUEUES if queue == "both" else (queue,)
        found = self.store.claim(owner, nonce, queues, LEASE_MS)
        ready = [
            i
            for i, known in self.model.tasks.items()
            if known.state is State.QUEUED and known.queue in queues and self.model.may_run(known)
        ]
        if not isinstance(found, Lease):
            assert not ready
            return multiple()
        assert found.id in ready
        assert found.token > self.model.token
        known = self.model.tasks[found.id]
        self.model.token = known.token = found.token
        known.state, known.attempt = State.RUNNING, known.attempt + 1
        assert (found.attempt, found.counted) == (known.attempt, known.counted)
        self.last[owner] = (nonce, found)
        return found

    @rule(owner=OWNERS)
    def claim_again(self, owner: str) -> None:
        """The nonce of the last claim, while its lease holds: the same lease; it ends a suspicion."""
        if owner not in self.last or not self.model.owns(self.last[owner][1]):
            return
        nonce, lease = self.last[owner]
        again = self.store.claim(owner, nonce, QUEUES, LEASE_MS)
        assert isinstance(again, Lease)
        assert (again.id, again.token, again.attempt) == (lease.id, lease.token, lease.attempt)
        self.model.tasks[lease.id].suspected = False

    @rule(target=leases, lease=leases, owner=OWNERS)
    def adopt(self, lease: Lease, owner: str) -> Any:
        """The run goes on under a new token; a stale one takes nothing over."""
        self.nonces += 1
        for _ in range(2):
            found = self.store.adopt(lease.id, lease.token, owner, str(self.nonces), LEASE_MS)
        if not self.model.owns(lease):
            assert found is None
            return multiple()
        assert found is not None
        assert found.token == self.model.token + 1
        known = self.model.tasks[lease.id]
        self.model.token = known.token = found.token
        known.suspected = False
        return found

    @rule(lease=leases)
    def beat(self, lease: Lease) -> None:
        """Ok, cancel or lost; it ends a suspicion."""
        known = self.model.tasks[lease.id]
        expected = "lost"
        if self.model.owns(lease):
            expected = "cancel" if known.cancel else "ok"
            known.suspected = False
        assert self.store.beat([(lease.id, lease.token)], LEASE_MS) == [expected]

    @rule(lease=leases)
    def started(self, lease: Lease) -> None:
        """Only the holder may say what runs."""
        assert self.store.started(lease, {"pid": 1}, "s") == self.model.owns(lease)

    @rule(
        lease=leases, to=st.sampled_from([*FINAL, State.SCHEDULED, State.HELD]), again=st.booleans()
    )
    def settle(self, lease: Lease, to: State, again: bool) -> None:
        """The holder's word counts, once; a settled token gets the same answer, any other is refused.

        What a person has cancelled neither comes back nor waits for a person.
        """
        known = self.model.tasks[lease.id]
        owned = self.model.owns(lease)
        expected = owned or known.settled == lease.token
        for _ in range(1 + again):
            answer = self.store.settle(lease, to, outcome="o", retry_ms=2**40)
            assert answer == expected
        if owned:
            stopped = known.cancel and to in (State.SCHEDULED, State.HELD)
            self._let_go(known, State.CANCELLED if stopped else to)
            known.settled = lease.token
            known.counted += known.state is State.SCHEDULED

    @rule(lease=leases, later=st.booleans())
    def release(self, lease: Lease, later: bool) -> None:
        """Back, uncounted; or cancelled, where a person wanted that."""
        known = self.model.tasks[lease.id]
        owned = self.model.owns(lease)
        delay = 2**40 if later else 0
        answer = self.store.release(lease.id, lease.token, outcome="o", reason="", delay_ms=delay)
        assert answer == owned
        if owned:
            back = State.SCHEDULED if later else State.QUEUED
            self._let_go(known, State.CANCELLED if known.cancel else back)

    @rule(count=st.integers(1, 2), whose=st.integers(0, 3))
    def reap(self, count: int, whose: int) -> None:
        """A lease that is over: suspected the first time, given on the second; no other is touched."""
        running = [i for i, known in self.model.tasks.items() if known.state is State.RUNNING]
        if not running:
            assert self.store.reap(15_000) == []
            return
        task_id = running[whose % len(running)]
        for _ in range(count):
            if self.model.tasks[task_id].state is State.RUNNING:
                self._expire(task_id, self.model.tasks[task_id])

    def _expire(self, task_id: str, known: Known) -> None:
        self.client.zadd("{test}:leases", {task_id: 1})
        word = "requeued" if known.suspected else "suspected"
        assert self.store.reap(15_000) == [(task_id, word)]
        if known.suspected:
            self._let_go(known, State.CANCELLED if known.cancel else State.QUEUED)
            known.token = 0
        else:
            known.suspected = True

    # -- people

    @rule(task_id=IDS)
    def cancel(self, task_id: str) -> None:
        """A waiting task ends; a running one is told at its next beat."""
        known = self.model.tasks.get(task_id)
        if self._is_missing(self.store.cancel, task_id) or known is None:
            return
        if known.state is State.RUNNING:
            known.cancel = True
        elif known.state not in FINAL:
            known.state = State.CANCELLED

    @rule(task_id=IDS)
    def requeue(self, task_id: str) -> None:
        """Held, failed and cancelled tasks go back, with their retries new."""
        known = self.model.tasks.get(task_id)
        if self._is_missing(self.store.requeue, task_id) or known is None:
            return
        if known.state in (State.HELD, State.FAILED, State.CANCELLED):
            known.state, known.counted = State.QUEUED, 0

    @rule()
    def become_due(self) -> None:
        """The time of all scheduled tasks has come: the next claim may have them."""
        for task_id, known in self.model.tasks.items():
            if known.state is State.SCHEDULED:
                self.client.zadd("{test}:scheduled", {task_id: 1})
        self.store.claim("nobody", "none", ["empty"], LEASE_MS)
        for known in self.model.tasks.values():
            if known.state is State.SCHEDULED:
                known.state = State.QUEUED

    def _is_missing(self, act: Callable[[str], State], task_id: str) -> bool:
        """Whether there is no such task; where there is, the verb answers the state that it was in."""
        known = self.model.tasks.get(task_id)
        if known is not None:
            assert act(task_id) is known.state
            return False
        with pytest.raises(NoSuchTaskError):
            act(task_id)
        return True

    def _let_go(self, known: Known, to: State) -> None:
        assert to in MOVES[State.RUNNING]
        known.state, known.suspected, known.cancel = to, False, False

    # -- what always holds

    @invariant()
    def each_id_stands_in_exactly_one_structure(self) -> None:
        """The one that its state says."""
        homes: dict[str, list[str]] = {}
        for key in (*INDEX.values(), *(f"finished:{s}" for s in FINAL), *ready_keys()):
            for task_id in self._members(key):
                homes.setdefault(task_id, []).append(key)
        waiting = self._members("waiting")
        for task_id in waiting:
            assert self.model.tasks[task_id].lock
            homes.setdefault(task_id, []).append(home(self.model.tasks[task_id]))
        assert homes == {i: [home(known)] for i, known in self.model.tasks.items()}
        lines = [f"waiting:repo|{queue}|python" for queue in QUEUES]
        assert sorted(waiting) == sorted(i for line in lines for i in self._members(line))

    def _members(self, key: str) -> list[str]:
        return [member.decode() for member in self.client.zrange("{test}:" + key, 0, -1)]

    @invariant()
    def one_task_of_a_lock_runs_and_holds_it(self) -> None:
        """And nobody waits for a lock that is free while nothing of its lane stands ready for it."""
        locked = {i: k for i, k in self.model.tasks.items() if k.lock}
        running = [i for i, known in locked.items() if known.state is State.RUNNING]
        assert self.store.lock_holder("repo") == "".join(running)
        assert len(running) <= 1
        ready = {i for key in ready_keys() for i in self._members(key)}
        waiting = self._members("waiting")
        for queue in QUEUES:
            lane = [i for i in locked if locked[i].queue == queue]
            standing = [i for i in lane if i in ready]
            assert len(standing) <= 1
            assert running or standing or not any(i in waiting for i in lane)

    @invariant()
    def sources_are_counted(self) -> None:
        """Each tally is what it counts."""
        counts = self.store.counts_by_source().get("", dict.fromkeys(State, 0))
        for state in State:
            there = [k.state for k in self.model.tasks.values()]
            expected = there.count(state)
            if state is State.QUEUED:
                expected += there.count(State.SCHEDULED)
            if state is not State.SCHEDULED:
                assert counts[state] == expected, state

    @invariant()
    def every_record_is_as_the_model_has_it(self) -> None:
        """State, attempts and key; and no record that nobody put in."""
        ids = sorted(self.model.tasks)
        assert [i.decode() for i in self.client.zrange("{test}:ids", 0, -1)] == ids
        for task_id, record in zip(ids, self.store.records(ids), strict=True):
            known = self.model.tasks[task_id]
            assert record is not None
            assert record.state is known.state
            assert (record.attempt, record.counted) == (known.attempt, known.counted)
            assert (record.key, record.token) == (known.key, known.token)

    @invariant()
    def a_key_stands_for_the_task_that_took_it(self) -> None:
        """One task for each key, for ever."""
        keys = {known.key: i for i, known in self.model.tasks.items() if known.key}
        held = self.client.hgetall("{test}:keys")
        assert {k.decode(): v.decode() for k, v in held.items()} == keys

    @invariant()
    def tokens_only_rise(self) -> None:
        """The counter is the highest token that was ever given."""
        assert int(self.client.hget("{test}:counters", "token") or 0) == self.model.token


def sub(task_id: str, **fields: Any) -> Submission:
    return Submission(id=task_id, body=b"{}", **fields)


def ready_keys() -> list[str]:
    return [f"ready:{queue}:{kind}" for queue in QUEUES for kind in ("python", "claude")]


def home(known: Known) -> str:
    if known.state in FINAL:
        return f"finished:{known.state}"
    return INDEX.get(known.state, f"ready:{known.queue}:python")


def test_the_scripts_keep_to_the_model(client: redis.Redis) -> None:
    run_state_machine_as_test(
        lambda: QueueMachine(client),  # type: ignore[arg-type]  # whatever makes one will do
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,  # the Lua of a fake server is slow, and a loaded machine slower
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
