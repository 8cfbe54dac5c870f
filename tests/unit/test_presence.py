"""Which machines take from which queues, and that no task waits in silence where nobody takes it."""

from __future__ import annotations

import json
from typing import Any

import redis

from cli import hosts
from durable.presence import FORGOTTEN_MS, FRESH_MS
from durable.records import State
from durable.store import LeaseStore
from tests.unit.leasing import claim, sub

HUT, BARN = "aaa:hut-id:consumer-1", "bbb:barn-id:consumer-1"


def age(store: LeaseStore, owner: str, ms: int) -> None:
    """As if it had been silent for so long."""
    said: Any = store.client.hget(f"{store.prefix}consumers", owner)
    seen, text = said.split(b" ", 1)
    store.client.hset(f"{store.prefix}consumers", owner, b"%d %s" % (int(seen) - ms, text))


def told(store: LeaseStore, here: str = "hut") -> str:
    return "\n".join(map(str, hosts.notices(hosts.ask(store), here)))


def test_a_consumer_says_where_it_is_and_what_it_takes(store: LeaseStore) -> None:
    store.announce(HUT, "hut", ("default", "host:hut"))
    [one] = store.consumers()
    assert (one.owner, one.host, one.host_id) == (HUT, "hut", "hut-id")
    assert one.queues == ("default", "host:hut")
    assert abs(one.seen_ms - store.now_ms()) < 60_000
    store.leave(HUT)
    assert store.consumers() == []


def test_tasks_of_a_machine_that_takes_none_are_told_with_the_remedy(store: LeaseStore) -> None:
    store.announce(HUT, "hut", ("default", "host:hut"))
    store.submit(
        [sub("a"), sub("b", queue="host:barn"), sub("c", queue="host:barn", kind="claude")]
    )
    assert hosts.ask(store).unserved == {"host:barn": 2}
    assert "2 tasks wait in host:barn, which no consumer serves." in told(store)
    assert "start Baton on barn" in told(store)
    store.announce(BARN, "barn", ("default", "host:barn"))
    assert told(store) == ""


def test_a_consumer_that_is_silent_serves_no_more(store: LeaseStore) -> None:
    store.announce(HUT, "hut", ("default",))
    store.submit([sub("a")])
    assert told(store) == ""
    age(store, HUT, FRESH_MS)
    assert "1 task waits in default" in told(store)
    assert "./baton up" in told(store)
    assert hosts.elsewhere(hosts.ask(store), "barn") == [
        "hut: no consumer, the last was heard of 3m ago"
    ]


def test_one_that_is_gone_for_good_is_forgotten(store: LeaseStore) -> None:
    store.announce(HUT, "hut", ("default",))
    age(store, HUT, FORGOTTEN_MS + 1)
    store.announce(BARN, "barn", ("default",))
    assert [one.host for one in store.consumers()] == ["barn"]


def test_two_machines_with_one_name_are_told(store: LeaseStore) -> None:
    store.announce(HUT, "ubuntu", ("host:ubuntu",))
    store.announce("aaa:hut-id:consumer-2", "ubuntu", ("host:ubuntu",))
    assert told(store) == "", "two consumers of one machine"
    store.announce(BARN, "ubuntu", ("host:ubuntu",))
    assert "2 machines call themselves ubuntu" in told(store)
    age(store, BARN, FRESH_MS)
    assert told(store) == "", "one that began anew, as a container does, leaves its old id behind"


def test_those_that_wait_for_a_lock_are_counted(store: LeaseStore) -> None:
    store.submit([sub(name, queue="slow", lock="repo|x") for name in "abc"])
    assert store.waiting() == {"slow": 3}


def test_what_runs_or_waits_for_its_time_waits_for_no_consumer(store: LeaseStore) -> None:
    store.submit([sub("a"), sub("b", due_ms=store.now_ms() + 60_000)])
    lease = claim(store)
    assert store.waiting() == {}
    store.settle(lease, State.SUCCEEDED, outcome="succeeded")
    assert hosts.ask(store).unserved == {}


def test_other_machines_are_shown_in_one_line_each(store: LeaseStore) -> None:
    store.announce(HUT, "hut", ("default", "host:hut"))
    assert hosts.elsewhere(hosts.ask(store), "hut") == [], "on one machine there is nothing to say"
    store.announce(BARN, "barn", ("slow",))
    store.announce("bbb:barn-id:consumer-2", "barn", ("default",))
    assert hosts.elsewhere(hosts.ask(store), "hut") == ["barn: 2 consumers, of default, slow"]
    assert json.dumps(hosts.facts(hosts.ask(store)))


def test_what_an_older_server_s_data_lack_is_empty(client: redis.Redis) -> None:
    assert hosts.ask(LeaseStore(client, "{other}:"))[:2] == ([], {})
