"""Every verb of the store whose reply is lost and that is then repeated: the same answer and state as once."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import redis

from chaos.proxy import Proxy
from durable.connect import connect
from durable.costs import Cost
from durable.errors import CursorMovedError
from durable.records import Budget, Cursor, Lease, State, Submission
from durable.store import LeaseStore
from tests.conftest import PrivateServer

QUEUES = ("default",)
LEASE_MS = 30_000
COST = Cost(model="m", usd=0.5, input=3)


class Bench:
    """One queue under its own prefix, prepared alike each time; `store` is the one that the verb goes through."""

    def __init__(self, store: LeaseStore) -> None:
        self.store = store
        store.submit([sub("waits", priority=5), sub("runs", priority=9), sub("fails", priority=7)])
        self.lease = leased(store.claim("me", "n1", QUEUES, LEASE_MS))
        failed = leased(store.claim("you", "n1", QUEUES, LEASE_MS))
        store.settle(failed, State.FAILED, outcome="crashed")
        store.close_gate("all", "pause", by="a person", why="lunch")
        store.client.set(store.prefix + "kv:r:waits", "revoked")

    def unpause(self) -> None:
        self.store.open_gate("pause")


def sub(task_id: str, **fields: Any) -> Submission:
    return Submission(id=task_id, body=b"{}", **fields)


def leased(found: object) -> Lease:
    assert isinstance(found, Lease)
    return found


class Case(NamedTuple):
    """A verb, and what its repeat answers where that is not what once answers (a no-op that says so)."""

    act: Callable[[Bench], Any]
    repeat: Any = "as once"
    before: Callable[[Bench], Any] = lambda bench: None


def submit_with_cursor(bench: Bench) -> list[str]:
    return [s.id for s in bench.store.submit([sub("a"), sub("b")], Cursor("feed", "", "1"))]


def claimed(bench: Bench) -> tuple[str, int, int]:
    found = leased(bench.store.claim("me", "n2", QUEUES, LEASE_MS))
    return found.id, found.token, found.attempt


def locked(bench: Bench) -> tuple[str, int, int]:
    bench.store.submit([sub(i, lock="repo", priority=10) for i in ("l1", "l2")])
    return claimed(bench)


def adopted(bench: Bench) -> tuple[str, int, int]:
    lease = bench.lease
    found = leased(bench.store.adopt(lease.id, lease.token, "me", "n3", LEASE_MS))
    return found.id, found.token, found.attempt


def limit(bench: Bench) -> None:
    """A limit whose time is over, and the task that tries: the one in hand, by the same owner."""
    store = bench.store
    store.open_gate("pause")
    store.close_gate("claude:default", "limit", by="t", why="", until_ms=store.now_ms() - 1)
    store.submit([sub("tries", kind="claude", priority=9)])
    bench.lease = leased(store.claim("me", "n4", QUEUES, LEASE_MS))


def settle(state: State, **more: Any) -> Callable[[Bench], bool]:
    def act(bench: Bench) -> bool:
        follow = [sub("next", key="after:runs")]
        return bench.store.settle(
            bench.lease, state, outcome="o", costs=[COST], follow=follow, **more
        )

    return act


def release(delay_ms: int) -> Callable[[Bench], bool]:
    def act(bench: Bench) -> bool:
        lease = bench.lease
        return bench.store.release(
            *(lease.id, lease.token), outcome="o", reason="r", delay_ms=delay_ms, costs=[COST]
        )

    return act


def expire(bench: Bench) -> None:
    """The lease of the running task is over, by hand: no test waits 30 s."""
    bench.store.client.zadd(bench.store.prefix + "leases", {bench.lease.id: 1})


def wanted(bench: Bench) -> None:
    bench.store.want("fails")


def lost_run(bench: Bench) -> None:
    """A Claude run whose end nobody saw."""
    bench.unpause()
    bench.store.submit([sub("claude", kind="claude", priority=99)])
    bench.lease = leased(bench.store.claim("me", "n5", QUEUES, LEASE_MS, budget=Budget(9.0, 2.0)))
    bench.store.started(bench.lease, {"pid": 7}, "session")
    for _ in ("suspected", "requeued"):
        expire(bench)
        bench.store.reap(0)


CASES: dict[str, Case] = {
    "submit": Case(lambda b: [s.id for s in b.store.submit([sub("a"), sub("b", due_ms=2**42)])]),
    "submit with keys": Case(lambda b: b.store.submit([sub("a", key="k")])[0].id),
    "submit with a cursor": Case(submit_with_cursor),
    "claim": Case(claimed, before=Bench.unpause),
    "claim of nothing": Case(lambda b: b.store.claim("me", "n2", ["empty"], LEASE_MS)),
    "claim of a locked task": Case(locked, before=Bench.unpause),
    "adopt": Case(adopted),
    "alive": Case(lambda b: b.store.alive(b.lease), repeat=0, before=limit),
    "started": Case(lambda b: b.store.started(b.lease, {"pid": 7}, "session")),
    "beat": Case(lambda b: b.store.beat([(b.lease.id, b.lease.token), ("waits", 1)], LEASE_MS)),
    "settle succeeded": Case(settle(State.SUCCEEDED, result=b"1", session="s")),
    "settle failed": Case(settle(State.FAILED)),
    "settle retry": Case(settle(State.SCHEDULED, retry_ms=60_000, body=b"[]")),
    "settle held": Case(settle(State.HELD)),
    "release": Case(release(0), repeat=False),
    "release for later": Case(release(60_000), repeat=False),
    "price": Case(lambda b: b.store.price("claude", 1, [COST]), repeat=False, before=lost_run),
    "reap, suspecting": Case(lambda b: b.store.reap(15_000), repeat=[], before=expire),
    "cancel a waiting one": Case(lambda b: b.store.cancel("waits"), repeat=State.CANCELLED),
    "cancel a running one": Case(lambda b: b.store.cancel("runs")),
    "requeue": Case(lambda b: b.store.requeue("fails"), repeat=State.QUEUED),
    "want": Case(lambda b: b.store.want("fails", resume=True)),
    "refuse": Case(lambda b: b.store.refuse("", "fails", "gone"), repeat=False, before=wanted),
    "requeue what is wanted": Case(
        lambda b: b.store.requeue("fails"), repeat=State.QUEUED, before=wanted
    ),
    "placed": Case(lambda b: b.store.placed({"fails": "{}", "nobody": "{}"})),
    "close the gate": Case(
        lambda b: b.store.close_gate("claude", "limit", by="x", why="y").is_new, repeat=False
    ),
    "open the gate": Case(lambda b: b.store.open_gate("pause"), repeat=0),
    "nudge": Case(lambda b: b.store.nudge("me")),
    "hold": Case(lambda b: b.store.hold("waits", "not today"), repeat=State.HELD),
    "dataset": Case(lambda b: b.store.dataset("a-name", 1)),
}


@pytest.fixture
def proxy(private_server: PrivateServer) -> Iterator[Proxy]:
    own = Proxy(private_server.folder / "proxy.sock", private_server.socket)
    own.start()
    yield own
    own.stop()


@pytest.mark.parametrize("verb", CASES)
def test_a_repeat_after_a_lost_reply_is_as_once(
    verb: str, private_server: PrivateServer, proxy: Proxy
) -> None:
    case = CASES[verb]
    once = bench_of(private_server.url, "{once}:", case)
    answer = case.act(once)

    twice = bench_of(proxy.url, "{twice}:", case)
    proxy.drop_replies(1, only_deeds=False)
    with pytest.raises(redis.RedisError):
        case.act(twice)
    assert proxy.dropped == 1
    again = case.act(twice)

    assert again == (answer if case.repeat == "as once" else case.repeat)
    assert contents(once.store) == contents(twice.store)


def bench_of(url: str, prefix: str, case: Case) -> Bench:
    bench = Bench(LeaseStore(connect(url, retries=0), prefix))
    case.before(bench)
    bench.store.submit([])  # the connection has said hello; the bench before has loaded the scripts
    return bench


def test_the_second_of_two_reaps_is_not_hastened_by_a_lost_reply(
    private_server: PrivateServer, proxy: Proxy
) -> None:
    bench = bench_of(proxy.url, "{twice}:", Case(claimed, before=expire))
    proxy.drop_replies(1)
    with pytest.raises(redis.RedisError):
        bench.store.reap(15_000)
    assert bench.store.reap(15_000) == []  # suspected once, with its whole grace
    assert bench.store.beat([(bench.lease.id, bench.lease.token)], LEASE_MS) == ["ok"]


def test_a_client_that_repeats_by_itself_notices_nothing(
    private_server: PrivateServer, proxy: Proxy
) -> None:
    store = LeaseStore(connect(proxy.url), "{test}:")
    store.submit([])
    proxy.drop_replies(2)
    assert [s.id for s in store.submit([sub("a")], Cursor("feed", "", "1"))] == ["a"]
    assert proxy.dropped == 2
    with pytest.raises(CursorMovedError):
        store.submit([sub("b")], Cursor("feed", "", "2"))


_TIMES = ("_ms", "suspected")


def contents(store: LeaseStore) -> dict[str, Any]:
    """Everything under a prefix, without times and without the event stream, which is for eyes only."""
    client: Any = store.client
    found = {}
    for key in client.keys("[{]" + store.prefix[1:-2] + "[}]:*"):
        name = key.decode()[len(store.prefix) :]
        if name != "events":
            found[name] = content(client, key, name)
    return found


def content(client: Any, key: bytes, name: str) -> Any:
    kind = client.type(key)
    if kind == b"hash":
        found = client.hgetall(key)
        if name == "gate:since":
            return set(found)
        return {field: timeless(field.decode(), value) for field, value in found.items()}
    if kind == b"zset":
        members = client.zrange(key, 0, -1, withscores=True)
        ranked = name.startswith("ready:")  # the other scores are times
        return [(member, score if ranked else None) for member, score in members]
    return client.smembers(key) if kind == b"set" else client.get(key)


def timeless(field: str, value: bytes) -> Any:
    return "a time" if field.endswith(_TIMES) else value
