"""What people and producers look at: records, counts, results, cursors and the gate. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from durable.costs import DayCost, Today, Unpriced, day_costs, unpriced
from durable.errors import NoSuchTaskError
from durable.presence import Presences
from durable.records import FINAL, GateEntry, Newer, Record, State, Told, from_hash
from durable.versions import MESSAGE


class Views(Presences):
    """Reading one queue, with redis-py's client or with that of durable/glance.py.

    Every call raises redis.RedisError when the server is away.
    """

    def read_cursor(self, name: str) -> str:
        """Where a producer stands; "" when it never moved."""
        value: Any = self.client.hget(self._key("cursors"), name)
        return value.decode("utf-8", "surrogateescape") if value else ""

    def journal(self, name: str, limit: int = 20) -> list[Told]:
        """What became of a producer's latest ticks, files or items, the newest first."""
        lines: Any = self.client.lrange(self._key("journal:" + name), 0, limit - 1)
        return [msgspec.json.decode(line, type=Told, strict=False) for line in lines]

    def last_told(self, names: Sequence[str]) -> dict[str, Told]:
        """The latest entry of several journals, of those that have one, in one round trip."""
        pipe = self.client.pipeline(transaction=False)
        for name in names:
            pipe.lrange(self._key("journal:" + name), 0, 0)
        pairs = zip(names, pipe.execute(), strict=True)
        return {
            name: msgspec.json.decode(lines[0], type=Told, strict=False)
            for name, lines in pairs
            if lines
        }

    def record(self, task_id: str) -> Record | None:
        """The record, or None when no task has this id."""
        return self.records([task_id])[0]

    def records(self, ids: Sequence[str]) -> list[Record | None]:
        """The records of several tasks in one round trip."""
        pipe = self.client.pipeline(transaction=False)
        for task_id in ids:
            pipe.hgetall(self._key("task:" + task_id))
        pairs = zip(ids, pipe.execute(), strict=True)
        return [from_hash(i, fields) if b"state" in fields else None for i, fields in pairs]

    def ends(self, ids: Sequence[str]) -> list[tuple[State, int] | None]:
        """State and, of finished tasks, when (ms) in one round trip; None for an id that no task has."""
        pipe = self.client.pipeline(transaction=False)
        for task_id in ids:
            pipe.hmget(self._key("task:" + task_id), "state", "finished_ms")
        rows: list[Any] = pipe.execute()
        return [(State(r[0].decode()), int(r[1] or 0)) if r[0] else None for r in rows]

    def find(self, prefix: str) -> str:
        """The one id that begins with `prefix`. Raises NoSuchTaskError for none or several."""
        if prefix and self.client.exists(self._key("task:" + prefix)):
            return prefix
        low, high = f"[{prefix}", f"[{prefix}\xff"
        if not prefix:
            raise NoSuchTaskError(prefix)
        found: Any = self.client.zrangebylex(self._key("ids"), low, high, 0, 2)
        if len(found) != 1:
            raise NoSuchTaskError(prefix, self._count_ids(low, high) if found else 0)
        return str(found[0].decode())

    def _count_ids(self, low: str, high: str) -> int:
        return int(self.client.zlexcount(self._key("ids"), low, high))

    def page(self, state: State, limit: int = 50, offset: int = 0) -> list[Record]:
        """Records in one state: waiting ones in the order in which they will run, others newest first."""
        found = [
            pair
            for key, newest_first in self._index(state)
            for pair in self._slice(key, newest_first, offset + limit)
        ]
        if state is State.QUEUED:  # several sets, one order: lower scores run first
            found.sort()
        ids = [task_id for _, task_id in found[offset : offset + limit]]
        return [r for r in self.records(ids) if r]

    def ended_before(self, ms: int) -> dict[State, list[str]]:
        """The ids of all tasks that ended up to a time (ms of the server's clock), by final state."""
        states = [state for state in State if state.final]
        pipe = self.client.pipeline(transaction=False)
        for state in states:
            pipe.zrange(self._key(f"finished:{state.value}"), "-inf", ms, byscore=True)
        pairs = zip(states, pipe.execute(), strict=True)
        return {state: [task_id.decode() for task_id in ids] for state, ids in pairs}

    def _slice(self, key: str, newest_first: bool, count: int) -> list[tuple[float, str]]:
        found: Any = self.client.zrange(
            self._key(key), 0, count - 1, desc=newest_first, withscores=True
        )
        return [(score, task_id.decode()) for task_id, score in found]

    def _index(self, state: State) -> list[tuple[str, bool]]:
        """The sets that hold the ids of a state, and whether their newest stand at the end."""
        if state is State.QUEUED:
            ready = [(f"ready:{queue}:{kind}", False) for queue, kind in self._lanes()]
            return [*ready, ("waiting", False)]  # those wait for a lock
        if state in FINAL:
            return [(f"finished:{state.value}", True)]
        return [({State.RUNNING: "leases"}.get(state, state.value), state is State.HELD)]

    def _lanes(self) -> list[tuple[str, str]]:
        """Queue and kind of every lane that ever held a task."""
        found: Any = self.client.smembers(self._key("lanes"))
        return sorted(
            (queue, kind) for queue, _, kind in (f.decode().rpartition("|") for f in found)
        )

    def from_newer(self) -> Newer:
        """The tasks that stand ready for a newer Baton than this one, which leaves them alone."""
        lanes = [(f"ready:{queue}:{kind}", kind.partition("@")[2]) for queue, kind in self._lanes()]
        newer = [(key, int(version)) for key, version in lanes if int(version or 1) > MESSAGE]
        pipe = self.client.pipeline(transaction=False)
        for key, _ in newer:
            pipe.zcard(self._key(key))
        sizes: list[int] = pipe.execute() if newer else []
        waiting = [version for (_, version), n in zip(newer, sizes, strict=True) if n]
        return Newer(sum(sizes), max(waiting, default=0))

    def queues(self) -> list[str]:
        """Names of all queues that ever held a task."""
        return sorted({queue for queue, _ in self._lanes()})

    def lock_holder(self, lock: str) -> str:
        """The id of the task that runs under a lock; "" when none does."""
        found: Any = self.client.hget(self._key("locks"), lock)
        return found.decode() if found else ""

    def lease_left_ms(self, task_id: str) -> float:
        """How long the lease on a running task still holds; 0 without one. Each beat begins it anew."""
        deadline: Any = self.client.zscore(self._key("leases"), task_id)
        return max(0.0, deadline - self.now_ms()) if deadline else 0.0

    def counts(self) -> dict[State, int]:
        """How many tasks are in each state."""
        indexes = [(state, key) for state in State for key, _ in self._index(state)]
        pipe = self.client.pipeline(transaction=False)
        for _, key in indexes:
            pipe.zcard(self._key(key))
        totals = dict.fromkeys(State, 0)
        for (state, _), size in zip(indexes, pipe.execute(), strict=True):
            totals[state] += size
        return totals

    def counts_by_source(self) -> dict[str, dict[State, int]]:
        """How many tasks of each source are in each state that tells something of it; queued ones wait, for
        a consumer or for a time. What follows from other tasks is one source, "task"."""
        pipe = self.client.pipeline(transaction=False)
        pipe.hgetall(self._key("sources"))
        pipe.zrange(self._key("leases"), 0, -1)
        tallies, running = pipe.execute()
        live = [r for r in self.records([i.decode() for i in running]) if r]
        return by_source(tallies, [r.source for r in live])

    def result(self, task_id: str) -> bytes | None:
        """The stored result, undecoded; None when there is none (yet)."""
        value: Any = self.client.hget(self._key("task:" + task_id), "result")
        return value if value else None

    def results(self, ids: Sequence[str]) -> dict[str, bytes]:
        """The stored results of those that have one, undecoded, in one round trip."""
        pipe = self.client.pipeline(transaction=False)
        for task_id in ids:
            pipe.hget(self._key("task:" + task_id), "result")
        return {i: value for i, value in zip(ids, pipe.execute(), strict=True) if value}

    def gate(self) -> list[GateEntry]:
        """Why the gate is closed; empty when it is open."""
        pipe = self.client.pipeline(transaction=False)
        pipe.zrange(self._key("gate"), 0, -1, withscores=True)
        for name in ("gate:info", "gate:since", "gate:tries", "probes"):
            pipe.hgetall(self._key(name))
        entries, infos, since, tries, probes = pipe.execute()
        now = self.now_ms()
        found = []
        for member, until in entries:
            scope, _, reason = member.decode().partition("|")
            if until > now or scope.startswith("claude:"):
                told = msgspec.json.decode(infos.get(member, b"{}"))
                entry = GateEntry(
                    scope=scope,
                    reason=reason,
                    since_ms=int(since.get(member, now)),
                    until_ms=None if until == float("inf") else int(until),
                    by=told.get("by", ""),
                    why=told.get("why", ""),
                    remedy=told.get("remedy", ""),
                    about=told.get("about", ""),
                    probe=probes.get(scope.encode(), b"").decode(),
                    tries=int(tries.get(member, 0)),
                )
                found.append(entry)
        return sorted(found, key=lambda e: e.since_ms)

    def today(self) -> Today:
        """What the present day of the user's time zone has cost, and what running tasks have reserved of it."""
        day = str(self.day())
        pipe = self.client.pipeline(transaction=False)
        for key in ("spent", "spent_tokens"):
            pipe.hget(self._key(key), day)
        for key in ("reserved", "reserved_tokens"):
            pipe.hvals(self._key(key))
        usd, tokens, *reserved = pipe.execute()
        held_usd, held_tokens = (sum(map(float, values)) for values in reserved)
        return Today(
            usd=float(usd or 0),
            tokens=int(tokens or 0),
            reserved_usd=held_usd,
            reserved_tokens=int(held_tokens),
        )

    def day(self) -> int:
        """The number since 1970 of the present day: of the user's time zone, by the server's clock."""
        offset: Any = self.client.hget(self._key("counters"), "offset_ms")
        return (self.now_ms() + int(offset or 0)) // 86_400_000

    def costs(self, days: int) -> list[DayCost]:
        """What each day, source and model took, of today and the days before it; the newest day first."""
        first = self.day() - days + 1
        found: Any = self.client.zrange(self._key("costs"), first, "+inf", byscore=True)
        numbers = sorted(map(int, found), reverse=True)
        pipe = self.client.pipeline(transaction=False)
        for day in numbers:
            pipe.hgetall(self._key(f"costs:{day}"))
        pairs = zip(numbers, pipe.execute(), strict=True)
        return [row for day, table in pairs for row in day_costs(day, table)]

    def cost_so_far(self, task_id: str) -> float:
        """What a task has cost since a person last sent it in, USD; what is only charged is not in it."""
        found: Any = self.client.hmget(
            self._key("task:" + task_id), ["cost_usd", "cost_before", "charged"]
        )
        cost, before, charged = (float(value or 0) for value in found)
        return max(0.0, cost - before - charged)

    def unpriced(self) -> list[Unpriced]:
        """The runs whose end nobody saw and whose price nobody has said yet."""
        found: Any = self.client.hgetall(self._key("unpriced"))
        return unpriced(found)


def by_source(
    tallies: Mapping[bytes, bytes], running: Sequence[str]
) -> dict[str, dict[State, int]]:
    """From the tallies that scripts keep, and the sources of what runs. Reads only its arguments."""
    found: dict[str, dict[State, int]] = {}
    for field, value in tallies.items():
        source, _, word = field.decode("utf-8", "replace").rpartition("|")
        counts = found.setdefault(source, dict.fromkeys(State, 0))
        if word == "in":
            counts[State.QUEUED] += int(value)
        else:
            counts[State(word)] += int(value)
            counts[State.QUEUED] -= int(value)
    for source in running:
        counts = found.setdefault(_tallied(source), dict.fromkeys(State, 0))
        counts[State.RUNNING] += 1
        counts[State.QUEUED] -= 1
    return found


def _tallied(source: str) -> str:
    """As tally of scripts/lib/record.lua has it."""
    return "task" if source.startswith("task:") else source
