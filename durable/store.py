"""The verbs of the lease queue as Python functions, each of them one script in scripts/. Holds no state."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

from durable import wire
from durable.costs import KEEP_DAYS, Cost, written
from durable.errors import CursorMovedError, NoSuchTaskError
from durable.presence import FORGOTTEN_MS
from durable.records import (
    Budget,
    Chord,
    Claim,
    Closing,
    Cursor,
    Entry,
    Holding,
    Lease,
    Looks,
    Nothing,
    State,
    Step,
    Submission,
    Submitted,
)
from durable.scripting import Scripts
from durable.views import Views


class LeaseStore(Views, Scripts):
    """The queue under one key prefix of one Redis. Thread-safe as redis-py's client is.

    Every verb raises redis.RedisError when the server is away; repeating any of them is harmless.
    """

    # -- producers

    def submit(
        self,
        batch: Sequence[Submission],
        cursor: Cursor | None = None,
        entries: Sequence[Entry] = (),
    ) -> list[Submitted]:
        """Put all tasks in whose id and key are new, move the cursor, write the journal: all of it or nothing.

        Raises CursorMovedError, and submits nothing, when the cursor is not where it was expected.
        """
        step = Step(batch, cursor, entries)
        answer = wire.stepped(step, self._run("submit", *wire.step_args(step)))
        if isinstance(answer, CursorMovedError):
            raise answer
        return answer

    def submit_all(self, steps: Sequence[Step]) -> list[list[Submitted] | CursorMovedError]:
        """Several submits in one trip and with one fsync, each of them by itself: the answer of each."""
        if not steps:
            return []
        calls = [("submit", wire.step_args(step)) for step in steps]
        answers = self._run_together(*calls)
        return [wire.stepped(*pair) for pair in zip(steps, answers, strict=True)]

    def open_chords(self, chords: Sequence[Chord], batch: Sequence[Submission]) -> list[Submitted]:
        """Put chords in with the tasks that they begin with: all of it or nothing."""
        args: list[object] = [len(chords)]
        for chord in chords:
            args.extend(wire.chord_args(chord))
        args.append(len(batch))
        for task in batch:
            args.extend(wire.submission_args(task))
        return wire.submitted(self._run("chord", *args))

    def move_member(self, task_id: str, to: Sequence[str]) -> bool:
        """Other tasks (a pipeline's, in order) take this one's place in its chord; False when it has none."""
        return bool(self._run("move_member", task_id, *to))

    # -- watchers

    def placed(self, files: Mapping[str, str]) -> int:
        """Note where the files of tasks lie now, by id; a JSON text each. How many of the tasks are known."""
        return int(self._run("placed", *(word for pair in files.items() for word in pair)))

    def want(self, task_id: str, *, resume: bool = False) -> State:
        """Ask its watcher to bring the file of a failed or cancelled task back and then to requeue it.

        Answers the state that the task was found in; `wanted` has it until the watcher has answered.
        """
        return self._found(task_id, self._run("want", task_id, int(resume)))

    def wanted(self, source: str) -> dict[str, bool]:
        """The ids that a watcher is to bring back, and whether each is to go on in its session."""
        found: Any = self.client.hgetall(self._key("wanted:" + source))
        return {task_id.decode(): value == b"1" for task_id, value in found.items()}

    def refuse(self, source: str, task_id: str, reason: str) -> bool:
        """Say why the file cannot be brought back; False when nobody wants it any more."""
        return bool(self._run("refuse", source, task_id, wire.whole(reason)))

    # -- consumers

    def claim(
        self,
        owner: str,
        nonce: str,
        queues: Sequence[str],
        lease_ms: int,
        *,
        budget: Budget | None = None,
    ) -> Lease | Nothing:
        """A lease on the best task, or why there is none. Wakes the next owner when more is left."""
        return self.answer(
            Claim(
                owner=owner,
                nonce=nonce,
                queues=queues,
                lease_ms=lease_ms,
                budget=budget,
                woken=True,
            )
        )

    def answer(self, claim: Claim) -> Lease | Nothing:
        """What `claim` says, for a claim that somebody made; also left in its `found`."""
        claim.found = wire.claimed(self._run("claim", *wire.claim_args(claim)))
        return claim.found

    def adopt(
        self, task_id: str, token: int, owner: str, nonce: str, lease_ms: int
    ) -> Lease | None:
        """Take over a run whose owner has gone: a new token, the same attempt; None when it is over.

        Only for an owner of the same instance and host that has seen the flock of the old one free.
        """
        answer = self._run("adopt", task_id, token, owner, nonce, lease_ms)
        return None if answer[0] == b"stale" else wire.lease(answer)

    def alive(self, lease: Lease) -> int:
        """A probe has heard from the API: its credential's gate opens; how many entries did."""
        return int(self._run("alive", lease.id, lease.token))

    def wait_for_work(self, queues: Sequence[str], owner: str, timeout_s: float) -> None:
        """Block until somebody marks one of the queues or nudges the owner, or for `timeout_s`.

        Only a hint: claim decides.
        """
        keys = [self._key("nudge:" + owner), *(self._key("wake:" + q) for q in queues)]
        self._line.ask("BZPOPMIN", *keys, max(timeout_s, 0.01))

    def nudge(self, owner: str) -> None:
        """Wake this owner's wait_for_work, and nobody else's."""
        pipe = self.client.pipeline(transaction=False)
        pipe.zadd(self._key("nudge:" + owner), {"look": 0})
        pipe.pexpire(self._key("nudge:" + owner), 10_000)
        pipe.execute()

    def announce(self, owner: str, host: str, queues: Sequence[str]) -> None:
        """This consumer takes from these queues, for the next minutes."""
        says = json.dumps({"host": host, "queues": list(queues)})
        self._run("present", owner, says, FORGOTTEN_MS)

    def leave(self, owner: str) -> None:
        """This consumer takes no more."""
        self._run("present", owner, "", 0)

    def started(self, lease: Lease, run: dict[str, Any], session: str) -> bool:
        """Record what runs under the lease; False when the lease is no longer ours."""
        return bool(self._run("started", lease.id, lease.token, json.dumps(run), session) == b"ok")

    def beat(self, leases: Sequence[tuple[str, int]], lease_ms: int) -> list[str]:
        """Extend (id, token) leases; for each "ok", "cancel" or "lost"."""
        flat = [value for lease in leases for value in lease]
        return [word.decode() for word in self._run("beat", lease_ms, *flat)]

    def wait_for_poke(self, owner: str, timeout_s: float) -> bool:
        """Block until somebody wants this owner to beat now (a cancel), or for `timeout_s`."""
        return bool(self._line.ask("BZPOPMIN", self._key("poke:" + owner), timeout_s))

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
        costs: Sequence[Cost] = (),
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
        args: list[object] = [
            lease.id,
            lease.token,
            state.value,
            outcome,
            wire.whole(reason),
            result,
        ]
        args += [retry_ms, body, written(costs), session, len(follow)]
        for task in follow:
            args.extend(wire.submission_args(task))
        args += [member_value, len(values or {})]
        for pair in (values or {}).items():
            args.extend(pair)
        args.extend(forget)
        if then is None:
            return bool(self._run("settle", *args)[0] == b"ok")
        settled, claimed = self._run_together(("settle", args), ("claim", wire.claim_args(then)))
        then.found = wire.claimed(claimed)
        return bool(settled[0] == b"ok")

    def release(
        self,
        task_id: str,
        token: int,
        *,
        outcome: str,
        reason: str,
        delay_ms: int = 0,
        costs: Sequence[Cost] = (),
        session: str = "",
        excused: bool = True,
    ) -> bool:
        """Give the task back uncounted; False when the lease was not ours (harmless).

        Without `excused` the start counts towards STARTS_CAP: for an owner that died with it.
        """
        args = (task_id, token, outcome, wire.whole(reason), delay_ms, written(costs), session)
        return bool(self._run("release", *args, int(excused)) == b"ok")

    def price(self, task_id: str, attempt: int, costs: Sequence[Cost]) -> bool:
        """Book what a run whose end nobody saw really cost, in place of what was charged for it.

        False when that was said before.
        """
        return bool(self._run("price", task_id, attempt, written(costs)))

    def reap(self, grace_ms: int, limit: int = 100) -> list[tuple[str, str]]:
        """Suspect or give back what nobody beat for: (id, "suspected" | "requeued")."""
        answer = [word.decode() for word in self._run("reap", grace_ms, limit)]
        return list(zip(answer[::2], answer[1::2], strict=True))

    def held_by(self, owner: str, *, beginning: bool = False) -> list[Holding]:
        """The leases of an owner; with `beginning`, of all owners whose names begin so."""
        answer = self._run("mine", owner, int(beginning))
        rows = [answer[i : i + 5] for i in range(0, len(answer), 5)]
        return [
            Holding(
                r[0].decode(), r[1].decode(), int(r[2]), int(r[3]), r[4].decode().partition(":")[0]
            )
            for r in rows
        ]

    # -- upkeep

    def dataset(self, new_id: str, format_: int) -> tuple[str, int, int]:
        """The data's id ("" for none), format and last token; `new_id` names data without a name."""
        found, made_by, token = self._run("dataset", new_id, format_)
        return found.decode(), int(made_by), int(token)

    def migrate(self) -> int:
        """Make data of an older format data of this one; the format found."""
        return int(self._run("migrate"))

    def prune(self, keep_ms: int, keys_kept_ms: int, limit: int = 100) -> list[str]:
        """Remove finished records and identities that are old; the ids of the records removed."""
        args = (keep_ms, keys_kept_ms, limit, KEEP_DAYS)
        return [word.decode() for word in self._run("prune", *args)]

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

    def cancel(self, task_id: str) -> State:
        """Cancel; answers the state that the task was found in. A running one is stopped by its owner."""
        return self._found(task_id, self._run("cancel", task_id))

    def requeue(self, task_id: str, *, resume: bool = False) -> State:
        """Send a held, failed or cancelled task back; answers the state that it was found in.

        With `resume` a Claude task goes on in the session of its last attempt.
        """
        return self._found(task_id, self._run("requeue", task_id, int(resume)))

    def hold(self, task_id: str, reason: str) -> State:
        """Put a waiting task aside until a person requeues it; answers the state it was found in."""
        return self._found(task_id, self._run("hold", task_id, wire.whole(reason)))

    def hasten(self, task_id: str) -> State:
        """Make a waiting task the next of its priority; answers the state it was found in."""
        return self._found(task_id, self._run("hasten", task_id))

    @staticmethod
    def _found(task_id: str, answer: bytes) -> State:
        if answer == b"missing":
            raise NoSuchTaskError(task_id)
        return State(answer.decode())

    # -- the gate

    def close_gate(
        self,
        scope: str,
        reason: str,
        *,
        by: str,
        why: str,
        until_ms: int | None = None,
        looks: Looks | None = None,
        remedy: str = "",
        about: str = "",
    ) -> Closing:
        """Close the gate for a scope (see GateEntry) until a time, or until one task may look, or for a person.

        `by` is the id of the task that met the reason. With `looks` what was closed stays so until a probe
        succeeds, and the times have a little jitter. `remedy` is for a person, in place of the reason's usual
        one; `about` tells later whether what was at fault is still the same.
        """
        until = "" if until_ms is None else until_ms
        pauses = ("", "") if looks is None else looks
        more = {"remedy": remedy, "about": about}
        info = json.dumps({"by": by, "why": why} | {k: v for k, v in more.items() if v})
        chance = random.random()
        answer = self._run("gate", "close", scope, reason, until, *pauses, chance, by, info)
        return Closing(bool(answer[0]), int(answer[1]) if answer[1] else None)

    def open_gate(self, reason: str = "", scope: str = "") -> int:
        """Remove entries of this reason and scope ("" is any); how many there were."""
        return int(self._run("gate", "open", scope, reason))
