"""The verbs of the lease queue as Python functions, each of them one script in scripts/. Holds no state."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any

import redis

from durable.errors import CursorMovedError, NoSuchTaskError
from durable.records import (
    FINAL,
    Chord,
    Claim,
    Cursor,
    GateEntry,
    Lease,
    Record,
    State,
    Submission,
    Submitted,
    from_hash,
)

#: A task that took its owner with it this often (killed, not heard of) is held.
STARTS_CAP = 20


def _script_texts() -> dict[str, str]:
    folder = resources.files("durable") / "scripts"
    texts = {f.name[:-4]: f.read_text() for f in folder.iterdir() if f.name.endswith(".lua")}
    prelude = texts.pop("prelude")
    return {name: prelude + body for name, body in texts.items()}


class LeaseStore:
    """The queue under one key prefix of one Redis. Thread-safe as redis-py's client is.

    Every verb raises redis.RedisError when the server is away; repeating any of them is harmless.
    """

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        self.client = client
        self.prefix = prefix
        self._scripts: dict[str, Any] = {}

    def _script(self, name: str) -> Any:
        if not self._scripts:
            self._scripts = {
                name: self.client.register_script(text) for name, text in _script_texts().items()
            }
        return self._scripts[name]

    def _run(self, script: str, *args: object) -> Any:
        return self._script(script)(keys=[self.prefix], args=list(args))

    def _run_both(self, *calls: tuple[str, Sequence[object]]) -> list[Any]:
        """Several scripts in one round trip, one after the other; the server may run others' between them."""
        pipe: Any = self.client.pipeline(transaction=False)
        for script, args in calls:
            pipe.evalsha(self._script(script).sha, 1, self.prefix, *args)
        try:
            answers: list[Any] = pipe.execute()
        except redis.exceptions.NoScriptError:
            # SCRIPT FLUSH or a new server; what was done already is harmless twice
            answers = [self._run(script, *args) for script, args in calls]
        return answers

    def _key(self, name: str) -> str:
        return self.prefix + name

    # -- producers

    def submit(self, batch: Sequence[Submission], cursor: Cursor | None = None) -> list[Submitted]:
        """Put all tasks in whose id and key are new, and move the cursor: all of it or nothing.

        Raises CursorMovedError, and submits nothing, when the cursor is not where it was expected.
        """
        args: list[object] = [cursor.name, cursor.expected, cursor.next] if cursor else ["", "", ""]
        args.append(len(batch))
        for task in batch:
            args.extend(_submission_args(task))
        answer = self._run("submit", *args)
        if cursor and answer[0] == b"moved":
            actual = answer[1].decode("utf-8", "surrogateescape")
            raise CursorMovedError(cursor.name, cursor.expected, actual)
        return _submitted(answer)

    def open_chords(self, chords: Sequence[Chord], batch: Sequence[Submission]) -> list[Submitted]:
        """Put chords in with the tasks that they begin with: all of it or nothing."""
        args: list[object] = [len(chords)]
        for chord in chords:
            args.extend(_chord_args(chord))
        args.append(len(batch))
        for task in batch:
            args.extend(_submission_args(task))
        return _submitted(self._run("chord", *args))

    def move_member(self, task_id: str, to: Sequence[str]) -> bool:
        """Other tasks (a pipeline's, in order) take this one's place in its chord; False when it has none."""
        return bool(self._run("move_member", task_id, *to))

    def read_cursor(self, name: str) -> str:
        """Where a producer stands; "" when it never moved."""
        value: Any = self.client.hget(self._key("cursors"), name)
        return value.decode("utf-8", "surrogateescape") if value else ""

    # -- consumers

    def claim(
        self, owner: str, nonce: str, queues: Sequence[str], lease_ms: int
    ) -> Lease | tuple[int, bool]:
        """A lease on the best task, or (ms until something is due or -1, whether the gate keeps work back)."""
        claim = Claim(owner=owner, nonce=nonce, queues=queues, lease_ms=lease_ms)
        return _claimed(self._run("claim", *_claim_args(claim)))

    def wait_for_work(self, queues: Sequence[str], owner: str, timeout_s: float) -> None:
        """Block until somebody marks one of the queues or nudges the owner, or for `timeout_s`.

        Only a hint: claim decides.
        """
        keys = [self._key("nudge:" + owner), *(self._key("wake:" + q) for q in queues)]
        self.client.bzpopmin(keys, timeout=max(timeout_s, 0.01))

    def nudge(self, owner: str) -> None:
        """Wake this owner's wait_for_work, and nobody else's."""
        pipe = self.client.pipeline(transaction=False)
        pipe.zadd(self._key("nudge:" + owner), {"look": 0})
        pipe.pexpire(self._key("nudge:" + owner), 10_000)
        pipe.execute()

    def started(self, lease: Lease, run: dict[str, Any], session: str) -> bool:
        """Record what runs under the lease; False when the lease is no longer ours."""
        return bool(self._run("started", lease.id, lease.token, json.dumps(run), session) == b"ok")

    def beat(self, leases: Sequence[tuple[str, int]], lease_ms: int) -> list[str]:
        """Extend (id, token) leases; for each "ok", "cancel" or "lost"."""
        flat = [value for lease in leases for value in lease]
        return [word.decode() for word in self._run("beat", lease_ms, *flat)]

    def wait_for_poke(self, owner: str, timeout_s: float) -> bool:
        """Block until somebody wants this owner to beat now (a cancel), or for `timeout_s`."""
        return bool(self.client.bzpopmin([self._key("poke:" + owner)], timeout=timeout_s))

    def settle(
        self,
        lease: Lease,
        state: State,
        *,
        outcome: str,
        reason: str = "",
        result: bytes = b"",
        retry_ms: int = 0,
        body: bytes = b"",
        cost_usd: float = 0.0,
        session: str = "",
        follow: Sequence[Submission] = (),
        member_value: bytes = b"",
        values: Mapping[str, bytes] | None = None,
        forget: Sequence[str] = (),
        then: Claim | None = None,
    ) -> bool:
        """End the attempt; `state` SCHEDULED is a retry. False when the lease is no longer ours.

        `member_value` is what a chord gets of the task; `values` are stored and `forget` removed as Huey's own.
        `then` is a claim for the same trip to the server; its answer is left in it.
        """
        args: list[object] = [lease.id, lease.token, state.value, outcome, reason, result]
        args += [retry_ms, body, cost_usd, session, len(follow)]
        for task in follow:
            args.extend(_submission_args(task))
        args += [member_value, len(values or {})]
        for pair in (values or {}).items():
            args.extend(pair)
        args.extend(forget)
        if then is None:
            return bool(self._run("settle", *args)[0] == b"ok")
        settled, claimed = self._run_both(("settle", args), ("claim", _claim_args(then)))
        then.found = _claimed(claimed)
        return bool(settled[0] == b"ok")

    def release(
        self,
        task_id: str,
        token: int,
        *,
        outcome: str,
        reason: str,
        delay_ms: int = 0,
        cost_usd: float = 0.0,
        session: str = "",
        excused: bool = True,
    ) -> bool:
        """Give the task back uncounted; False when the lease was not ours (harmless).

        Without `excused` the start counts towards STARTS_CAP: for an owner that died with it.
        """
        args = (task_id, token, outcome, reason, delay_ms, cost_usd, session, int(excused))
        return bool(self._run("release", *args) == b"ok")

    def reap(self, grace_ms: int, limit: int = 100) -> list[tuple[str, str]]:
        """Suspect or give back what nobody beat for: (id, "suspected" | "requeued")."""
        answer = [word.decode() for word in self._run("reap", grace_ms, limit)]
        return list(zip(answer[::2], answer[1::2], strict=True))

    def left_by(self, owner: str) -> list[tuple[str, int, int, dict[str, Any]]]:
        """Leases held under this owner's name: (id, token, attempt, what `started` recorded)."""
        answer = self._run("mine", owner)
        return [
            (
                answer[i].decode(),
                int(answer[i + 1]),
                int(answer[i + 2]),
                json.loads(answer[i + 3] or b"{}"),
            )
            for i in range(0, len(answer), 4)
        ]

    # -- upkeep

    def dataset(self, new_id: str, format_: int) -> tuple[str, int, int]:
        """The data's id ("" for none), format and last token; `new_id` names data without a name."""
        found, made_by, token = self._run("dataset", new_id, format_)
        return found.decode(), int(made_by), int(token)

    def prune(self, keep_ms: int, keys_kept_ms: int, limit: int = 100) -> list[str]:
        """Remove finished records and identities that are old; the ids of the records removed."""
        return [word.decode() for word in self._run("prune", keep_ms, keys_kept_ms, limit)]

    def reconcile(self, after: str = "", limit: int = 200) -> tuple[str, list[str]]:
        """Mend records that stand nowhere; (the id to go on after, "" at the end; the ids mended)."""
        answer = [word.decode() for word in self._run("reconcile", after, limit)]
        return answer[0], answer[1:]

    # -- what bodies share

    def lock(
        self, name: str, token: bytes, ttl_ms: int | None = None, lease: Lease | None = None
    ) -> bool:
        """Take a named lock unless it is held; one taken under a lease falls free with that lease."""
        holder = (lease.id, lease.token) if lease else ("", "")
        return bool(self._run("lock", name, token, "" if ttl_ms is None else ttl_ms, *holder))

    def unlock(self, name: str, token: bytes) -> bool:
        """Let a named lock go; False, and nothing is done, when it is not this token's any more."""
        return bool(self._run("unlock", name, token))

    def rate(self, name: str, window_ms: int) -> tuple[int, int]:
        """Count one more in this window of the server's clock: (how many now, ms until the next window)."""
        count, left = self._run("rate", name, window_ms)
        return int(count), int(left)

    def rate_count(self, name: str) -> int:
        """How many the latest window has counted."""
        value: Any = self.client.hget(self._key("rate:" + name), "count")
        return int(value or 0)

    def reset_rate(self, name: str) -> None:
        """Begin the window anew."""
        self.client.delete(self._key("rate:" + name))

    # -- people

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
        ids = [
            task_id
            for key, newest_first in self._index(state)
            for task_id in self._slice(key, newest_first, offset + limit)
        ]
        return [r for r in self.records(ids[offset : offset + limit]) if r]

    def _slice(self, key: str, newest_first: bool, count: int) -> list[str]:
        found: Any = self.client.zrange(self._key(key), 0, count - 1, desc=newest_first)
        return [i.decode() for i in found]

    def _index(self, state: State) -> list[tuple[str, bool]]:
        """The sets that hold the ids of a state, and whether their newest stand at the end."""
        if state is State.QUEUED:
            return [
                (f"ready:{q}:{kind}", False) for q in self.queues() for kind in ("python", "claude")
            ]
        if state in FINAL:
            return [(f"finished:{state.value}", True)]
        return [({State.RUNNING: "leases"}.get(state, state.value), state is State.HELD)]

    def queues(self) -> list[str]:
        """Names of all queues that ever held a task."""
        names: Any = self.client.smembers(self._key("queues"))
        return sorted(name.decode() for name in names)

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

    def cancel(self, task_id: str) -> State:
        """Cancel; answers the state that the task was found in. A running one is stopped by its owner."""
        return self._found(task_id, self._run("cancel", task_id))

    def requeue(self, task_id: str) -> State:
        """Send a held, failed or cancelled task back; answers the state that it was found in."""
        return self._found(task_id, self._run("requeue", task_id))

    def hold(self, task_id: str, reason: str) -> State:
        """Put a waiting task aside until a person requeues it; answers the state it was found in."""
        return self._found(task_id, self._run("hold", task_id, reason))

    def hasten(self, task_id: str) -> State:
        """Make a waiting task the next of its priority; answers the state it was found in."""
        return self._found(task_id, self._run("hasten", task_id))

    @staticmethod
    def _found(task_id: str, answer: bytes) -> State:
        if answer == b"missing":
            raise NoSuchTaskError(task_id)
        return State(answer.decode())

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

    # -- the gate

    def close_gate(
        self, scope: str, reason: str, *, by: str, why: str, until_ms: int | None = None
    ) -> None:
        """Close the gate for `scope` ("all" or "claude"); `until_ms` None means until a person opens it."""
        info = {"since_ms": self.now_ms(), "until_ms": until_ms, "by": by, "why": why}
        until = "" if until_ms is None else until_ms
        self._run("gate", "close", scope, reason, until, json.dumps(info))

    def open_gate(self, reason: str = "", scope: str = "") -> int:
        """Remove entries of this reason and scope ("" is any); how many there were."""
        return int(self._run("gate", "open", scope, reason))

    def gate(self) -> list[GateEntry]:
        """Why the gate is closed; empty when it is open."""
        entries: Any = self.client.hgetall(self._key("gate:info"))
        now = self.now_ms()
        found = []
        for member, info in entries.items():
            scope, _, reason = member.decode().partition("|")
            entry = GateEntry(scope=scope, reason=reason, **json.loads(info))
            if entry.until_ms is None or entry.until_ms > now:
                found.append(entry)
        return sorted(found, key=lambda e: e.since_ms)

    def spent_today_usd(self) -> float:
        """What all attempts that ended today (UTC, by the server's clock) have cost."""
        day = self.now_ms() // 86_400_000
        value: Any = self.client.hget(self._key("spent"), str(day))
        return float(value or 0)

    def now_ms(self) -> int:
        """The server's clock, ms since 1970: the only one that the queue goes by."""
        seconds, micros = self.client.time()
        return int(seconds) * 1000 + int(micros) // 1000


def _claim_args(claim: Claim) -> list[object]:
    return [claim.owner, claim.nonce, claim.lease_ms, STARTS_CAP, *claim.queues]


def _claimed(answer: list[Any]) -> Lease | tuple[int, bool]:
    if answer[0] == b"none":
        return int(answer[1]), answer[2] == 1
    return Lease(
        id=answer[1].decode(),
        token=int(answer[2]),
        attempt=int(answer[3]),
        counted=int(answer[4]),
        body=answer[5],
        kind=answer[6].decode(),
        source=answer[7].decode(),
        name=answer[8].decode(),
        queue=answer[9].decode(),
        settled_token=int(answer[10]),
        revoked=answer[11] != 0,
    )


def _submission_args(task: Submission) -> Iterable[object]:
    due = task.due_ms if task.due_ms > 0 else 0
    return (
        *(task.id, task.key, task.kind, task.queue, task.priority),
        *(due, task.source, task.name, task.body),
    )


def _submitted(answer: list[Any]) -> list[Submitted]:
    return [Submitted(answer[i].decode(), answer[i + 1] == 1) for i in range(1, len(answer), 2)]


def _chord_args(chord: Chord) -> Iterable[object]:
    members = [value for m in chord.members for value in (m.id, m.place, int(m.last))]
    return (
        *(chord.id, chord.size, chord.skipped, chord.head, chord.tail),
        *(len(chord.members), *members),
        *_submission_args(chord.callback),
    )


def ms(moment_s: float | None = None) -> int:
    """Milliseconds since 1970 of `moment_s`, or of now."""
    return int((time.time() if moment_s is None else moment_s) * 1000)
