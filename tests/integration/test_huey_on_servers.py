"""Chords, locks and limits on real servers, and a chord whose consumer is killed."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huey import chord
from huey.exceptions import RateLimitExceeded, TaskLockedException
from huey.utils import SKIPPED

from durable.queue import BatonHuey
from durable.records import State
from tests.conftest import SERVERS, PrivateServer, wait_until
from tests.site import Site, with_server
from tests.turns import drain

TASKS = """
import os, time
from tasks import huey

@huey.task()
def member(path, n):
    with open(path, "a") as out:
        out.write("%d %d\\n" % (n, os.getpid()))
    time.sleep(0.2)
    return n

@huey.task()
def total(path, numbers):
    with open(path, "a") as out:
        out.write("total\\n")
    return sum(numbers)
"""


@pytest.fixture(params=SERVERS)
def site(request: pytest.FixtureRequest, short_tmp: Path) -> Iterator[Site]:
    (short_tmp / "my_tasks.py").write_text(TASKS)
    config = {"consumers": 2, "tasks": ["my_tasks"]}
    own = Site(short_tmp, config, with_server(request.param, short_tmp))
    own.start("redis")
    yield own
    own.close()


def test_a_chord_counts_what_the_server_itself_ends(private_server: PrivateServer) -> None:
    huey = BatonHuey("test", url=private_server.url)

    @huey.task()
    def member(n: int) -> int:
        return n

    @huey.task()
    def gather(values: list[Any]) -> list[Any]:
        return values

    members = [member.s(n) for n in range(3)]
    result = huey.enqueue(chord(members, gather))
    huey.store.cancel(members[1].id)
    huey.store.client.hdel(huey.store._key("task:" + members[2].id), "body")
    drain(huey)
    assert result.get() == [0, SKIPPED, SKIPPED]
    assert list(huey.store.client.scan_iter("*chord*")) == []


def test_the_members_of_a_chord_may_end_at_the_same_moment(private_server: PrivateServer) -> None:
    def fresh() -> tuple[BatonHuey, Any, Any]:
        huey = BatonHuey("test", url=private_server.url)

        @huey.task(name="member")
        def member(n: int) -> int:
            return n

        @huey.task(name="gather")
        def gather(values: list[int]) -> int:
            return sum(values)

        return huey, member, gather

    huey, member, gather = fresh()
    result = huey.enqueue(chord([member.s(n) for n in range(40)], gather))
    ended: list[int] = []
    threads = [threading.Thread(target=lambda: ended.append(drain(fresh()[0]))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    drain(huey)
    assert result.get() == sum(range(40))
    assert huey.store.counts()[State.SUCCEEDED] == 41


def test_locks_and_limits_hold_on_real_servers(private_server: PrivateServer) -> None:
    huey = BatonHuey("test", url=private_server.url)
    held = huey.lock_task("a", ttl=60)
    held.acquire()
    with pytest.raises(TaskLockedException):
        huey.lock_task("a").acquire()
    assert held.release()
    limit = huey.rate_limit("r", limit=1, per=3600)
    limit.acquire()
    with pytest.raises(RateLimitExceeded):
        limit.acquire()


def test_a_chord_whose_consumer_is_killed_fires_once(site: Site) -> None:
    lines = site.folder / "lines"
    for number in "12":
        site.start("consumer", number)
    site.python(
        f"import sys; sys.path.insert(0, {str(site.folder)!r})\n"
        f"from huey import chord; from my_tasks import huey, member, total\n"
        f"huey.enqueue(chord([member.s({str(lines)!r}, n) for n in range(12)], total.s({str(lines)!r})))\n"
    )
    wait_until(lambda: lines.exists() and len(lines.read_text().split()) > 6, what="it is at work")
    site.kill("consumer-1")
    site.start("consumer", "1")
    store = site.store
    wait_until(lambda: store.counts()[State.SUCCEEDED] == 13, 30, "all members and the callback")
    assert lines.read_text().count("total") == 1
    newest = max(store.page(State.SUCCEEDED, 20), key=lambda r: r.finished_ms)
    assert store.result(newest.id) == b"66"
