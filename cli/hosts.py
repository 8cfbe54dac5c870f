"""The machines of an instance: whose consumers take from which queues, and tasks that nobody takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from cli.missing import Notice
from cli.terminal import ago

if TYPE_CHECKING:
    from durable.presence import Presence
    from durable.views import Views

_OWN = "host:"
#: Of two machines with one name both have spoken within so long: one that has moved or begun anew is silent.
_BOTH_MS = 90_000


class Hosts(NamedTuple):
    """Who takes from the queue, and how many tasks wait in queues that nobody takes from."""

    consumers: list[Presence]
    unserved: dict[str, int]
    now_ms: int


def ask(store: Views) -> Hosts:
    """Return what Redis says. Raises redis.RedisError."""
    from durable.presence import unserved

    consumers, waiting, now_ms = store.consumers(), store.waiting(), store.now_ms()
    return Hosts(consumers, unserved(consumers, waiting, now_ms), now_ms)


def notices(hosts: Hosts, here: str) -> list[Notice]:
    """Return what a person should look after; `here` is what this machine is called."""
    found = [
        Notice(f"{_tasks(count)} in {queue}, which no consumer serves.", remedy(queue, here))
        for queue, count in hosts.unserved.items()
    ]
    names = sorted({one.host for one in hosts.consumers})
    found += [
        Notice(
            f"{count} machines call themselves {name}, so each takes tasks about the other's files.",
            "write host: with another name into baton.yaml of all but one, then ./baton up there",
        )
        for name in names
        if (count := len(_machines(hosts, name))) > 1
    ]
    return found


def _tasks(count: int) -> str:
    return f"{count} task waits" if count == 1 else f"{count} tasks wait"


def _machines(hosts: Hosts, name: str) -> set[str]:
    oldest = hosts.now_ms - _BOTH_MS
    return {one.host_id for one in hosts.consumers if one.host == name and one.seen_ms > oldest}


def remedy(queue: str, here: str) -> str:
    """Return what to do about a queue that no consumer takes from."""
    if queue in ("default", _OWN + here):
        return "./baton up starts consumers; one that takes from default takes from both"
    if queue.startswith(_OWN):
        name = queue.removeprefix(_OWN)
        return (
            f"start Baton on {name}; where that is the machine here under an older name, "
            f"write host: {name} into baton.yaml"
        )
    return f"name {queue} under queues: of a group of consumers in baton.yaml, then ./baton up"


def elsewhere(hosts: Hosts, here: str) -> list[str]:
    """Return a line for each other machine that has consumers."""
    names = sorted({one.host for one in hosts.consumers} - {here})
    return [
        _line(name, [one for one in hosts.consumers if one.host == name], hosts) for name in names
    ]


def _line(name: str, consumers: Sequence[Presence], hosts: Hosts) -> str:
    live = [one for one in consumers if one.is_fresh(hosts.now_ms)]
    if not live:
        seen_ms = max(one.seen_ms for one in consumers)
        return f"{name}: no consumer, the last was heard of {ago(seen_ms, hosts.now_ms)} ago"
    queues = sorted({queue for one in live for queue in one.queues})
    return f"{name}: {len(live)} consumer{'s'[: len(live) > 1]}, of {', '.join(queues)}"


def facts(hosts: Hosts) -> list[dict[str, Any]]:
    """Return the consumers of all machines for `--json`."""
    return [
        {name: getattr(one, name) for name in one.__struct_fields__}
        | {"fresh": one.is_fresh(hosts.now_ms)}
        for one in hosts.consumers
    ]
