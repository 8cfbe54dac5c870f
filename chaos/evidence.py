"""Gathers what a run left behind: the files of producers and bodies, and what Redis holds at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chaos import acks, body
from chaos.facts import FINAL, Fact
from chaos.oracle import Evidence
from chaos.people import People
from chaos.witness import Witness
from durable.store import LeaseStore

_PAGE = 1_000
#: What outlives its tasks: records and their indexes, who submitted and claimed last, who claims at all, hints to look,
#: events.
_MAY_STAY = (
    *("task:", "ids", "keys", "finished:", "queues", "lanes", "sources", "dataset", "counters"),
    *("cursors", "owner:", "nonce:", "wake:", "nudge:", "poke:", "events", "consumers"),
)
_SIZE_OF: dict[bytes, Callable[[Any, bytes], int]] = {
    b"zset": lambda client, key: client.zcard(key),
    b"hash": lambda client, key: client.hlen(key),
    b"set": lambda client, key: client.scard(key),
    b"list": lambda client, key: client.llen(key),
    b"string": lambda client, key: client.strlen(key),
    b"none": lambda client, key: 0,  # it has run out since
}


def of_baton(
    folder: Path, store: LeaseStore, witness: Witness, people: People | None = None
) -> Evidence:
    """Everything about a run on the lease queue. Raises redis.RedisError."""
    tasks, events = _tasks(store), witness.seen
    return Evidence(
        acks=_acks(folder),
        lines=body.read(folder / "lines.log"),
        sizes=_sizes(store),
        tasks=tasks,
        events=events,
        claims=witness.claims,
        deeds=people.deeds if people else (),
        pauses=people.pauses if people else (),
        cursors=_cursors(store),
        counters=_counters(store, tasks, events),
    )


def of_huey(folder: Path, waiting: dict[str, int]) -> Evidence:
    """What plain Huey leaves to see."""
    return Evidence(acks=_acks(folder), lines=body.read(folder / "lines.log"), sizes=waiting)


def _acks(folder: Path) -> list[acks.Ack]:
    return [ack for file in sorted(folder.glob("acks-*.log")) for ack in acks.read(file)]


def _tasks(store: LeaseStore) -> dict[str, Fact]:
    """Found by their keys in Redis, not by an index: an index may be what is broken."""
    head = f"{store.prefix}task:"
    ids = [key.decode()[len(head) :] for key in store.client.scan_iter(_glob(head), _PAGE)]
    found = {}
    for start in range(0, len(ids), _PAGE):
        page = ids[start : start + _PAGE]
        for record, token in zip(store.records(page), _settled_tokens(store, page), strict=True):
            if record:
                about = (record.state, record.key, record.attempt, record.counted)
                found[record.id] = Fact(*about, token)
    return found


def _settled_tokens(store: LeaseStore, ids: list[str]) -> list[int]:
    """Whose word the end of each task is."""
    pipe = store.client.pipeline(transaction=False)
    for task_id in ids:
        pipe.hget(f"{store.prefix}task:{task_id}", "settled_token")
    return [int(token or 0) for token in pipe.execute()]


def _glob(head: str) -> str:
    return head.replace("{", "[{]").replace("}", "[}]") + "*"


def _sizes(store: LeaseStore) -> dict[str, int]:
    """Whatever is left of structures in which nothing may stand once all are done, those included that are new."""
    client: Any = store.client
    found = {}
    for key in client.scan_iter(_glob(store.prefix), _PAGE):
        name = key.decode()[len(store.prefix) :]
        if not name.startswith(_MAY_STAY):
            found[name] = int(_SIZE_OF[client.type(key)](client, key))
    return found


def _cursors(store: LeaseStore) -> dict[str, int]:
    found: Any = store.client.hgetall(store.prefix + "cursors")
    return {name.decode(): int(place) for name, place in found.items()}


def _counters(
    store: LeaseStore, tasks: dict[str, Fact], events: dict[str, Counter[str]]
) -> dict[str, tuple[int, int]]:
    client: Any = store.client
    states = Counter(fact.state for fact in tasks.values())
    index = {f"count of {state}": (n, states[state]) for state, n in store.counts().items()}
    leased = events.get("leased", Counter()).total()
    adopted = events.get("adopted", Counter()).total()  # a new token, but no new attempt
    keys = sum(1 for fact in tasks.values() if fact.key)
    return index | {
        "ids": (int(client.zcard(store.prefix + "ids")), len(tasks)),
        "keys": (int(client.hlen(store.prefix + "keys")), keys),
        "age of keys": (int(client.zcard(store.prefix + "keys:age")), keys),
        "submitted": (_known(events, "submitted"), len(tasks)),
        "attempts": (sum(fact.attempt for fact in tasks.values()), leased),
        "token": (int(client.hget(store.prefix + "counters", "token") or 0), leased + adopted),
        **{state: (_known(events, state), states[state]) for state in FINAL},
    }


def _known(events: dict[str, Counter[str]], event: str) -> int:
    return events.get(event, Counter()).total()
