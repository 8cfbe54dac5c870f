"""What is stored about a task: its states with their legal moves, and the record as the rest of Baton reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

from durable.versions import MESSAGE


class State(StrEnum):
    """Where a task stands; the one list of states."""

    SCHEDULED = "scheduled"  # waits for a time
    QUEUED = "queued"  # waits for a consumer
    RUNNING = "running"  # an owner holds a lease on it
    HELD = "held"  # waits for a person
    SUCCEEDED = "succeeded"  # final: it has a result
    FAILED = "failed"  # final: it has a reason
    CANCELLED = "cancelled"  # final: a person, a revocation or an expiry stopped it

    @property
    def final(self) -> bool:
        """Whether nothing but a person moves the task on from here."""
        return self in FINAL


#: The outcome of a task that is held because the file which it is about is on a disk that is not there.
FILE_AWAY = "file_away"

FINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})

#: From each state, where a task may go. The scripts are tested against this table.
MOVES: Mapping[State, frozenset[State]] = {
    State.SCHEDULED: frozenset({State.QUEUED, State.HELD, State.CANCELLED}),
    State.QUEUED: frozenset({State.RUNNING, State.HELD, State.FAILED, State.CANCELLED}),
    State.RUNNING: frozenset(State) - {State.RUNNING},
    State.HELD: frozenset({State.QUEUED, State.CANCELLED}),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset({State.QUEUED}),
    State.CANCELLED: frozenset({State.QUEUED}),
}


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One task as Redis holds it. Times are milliseconds of the server's clock since 1970; 0 is "never"."""

    id: str
    state: State
    kind: str = "python"
    name: str = ""
    source: str = ""
    by: str = ""  # who put it in: user@host
    key: str = ""
    queue: str = "default"
    priority: int = 0
    attempt: int = 0  # number of the latest attempt; every start has its own
    counted: int = 0  # attempts that count against `retries`
    owner: str = ""
    token: int = 0
    created_ms: int = 0
    due_ms: int = 0
    started_ms: int = 0
    finished_ms: int = 0
    outcome: str = ""
    reason: str = ""
    cost_usd: float = 0.0
    input_tokens: int = 0  # as in costs.Cost, of all attempts and models
    output_tokens: int = 0
    cache_write_tokens: int = 0
    cache_read_tokens: int = 0
    session: str = ""
    cancel: bool = False
    lock: str = ""  # the tasks that name it run one at a time
    version: int = 1  # of the message and of this record; see versions.MESSAGE
    file: str = (
        ""  # JSON of the watcher: where it has put the file; only of a task that did not succeed
    )
    refused: str = (
        ""  # why the watcher could not bring the file back when a person wanted the task again
    )
    run: str = ""  # JSON of the consumer: host, boot, pid and folder of the live attempt
    body: bytes = b""


_TEXT = (
    "kind",
    "name",
    "source",
    "by",
    "key",
    "queue",
    "owner",
    "outcome",
    "reason",
    "session",
    "run",
    "lock",
    "file",
    "refused",
)
_WHOLE = (
    *("priority", "attempt", "counted", "token", "version"),
    *("created_ms", "due_ms", "started_ms", "finished_ms"),
    *("input_tokens", "output_tokens", "cache_write_tokens", "cache_read_tokens"),
)


def from_hash(task_id: str, fields: Mapping[bytes, bytes]) -> Record:
    """The record in a `task:{id}` hash; unknown fields are ignored, missing ones take their defaults."""
    text = {f: fields[f.encode()].decode("utf-8", "replace") for f in _TEXT if f.encode() in fields}
    whole = {f: int(float(fields[f.encode()] or 0)) for f in _WHOLE if f.encode() in fields}
    if "kind" in text:
        text["kind"] = text["kind"].partition(":")[0]  # what follows is the credential
    return Record(
        id=task_id,
        state=State(fields[b"state"].decode()),
        cost_usd=float(fields.get(b"cost_usd", b"0") or 0),
        cancel=fields.get(b"cancel") == b"1",
        body=fields.get(b"body", b""),
        **text,  # type: ignore[arg-type]  # mypy cannot tell the string fields from the others
        **whole,  # type: ignore[arg-type]
    )


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """One task on its way in. `due_ms` 0 means now; `key` "" means that only the id identifies it."""

    id: str
    body: bytes
    name: str = ""
    key: str = ""
    kind: str = "python"
    queue: str = "default"
    priority: int = 0
    due_ms: int = 0
    source: str = ""
    by: str = ""  # who puts it in: user@host
    lock: str = ""  # of the tasks with this word, one runs at a time
    credential: str = ""  # of a Claude task, where it is not the usual one
    budget_usd: float | None = None  # what a Claude task may cost; None: what consumers say
    version: int = MESSAGE


class Submitted(msgspec.Struct, frozen=True):
    """What became of a submission: the id that stands for it, and whether it is new.

    `kept_out`: it did not go in beside the live task `id` ("" where that is not known).
    """

    id: str
    new: bool
    kept_out: bool = False


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What a producer's journal says of one thing that happened, or of several in a row.

    `place` is that of its task in the batch, counted from 1; 0 for what became no task. Such an entry is
    written as it is; a task's own is written when the task goes in, or as `skipped` when it is `alone` and a
    live task of its source keeps it out.
    """

    journal: str  # watcher:NAME, poller:NAME, schedule:NAME
    what: str  # run, late, merged, skipped, failed
    about: str = ""  # a tick, a file, an item
    until: str = ""  # the last, where it stands for several
    count: int = 1
    why: str = ""
    place: int = 0
    alone: bool = False


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of a journal as it was written: `id` is the task's that it is about, `at_ms` the server's time."""

    what: str
    about: str = ""
    until: str = ""
    count: int = 1
    why: str = ""
    id: str = ""
    at_ms: int = 0


class ChordMember(msgspec.Struct, frozen=True):
    """A task that stands for one place of a chord; of a pipeline only the `last` one has the member's value."""

    id: str
    place: int
    last: bool


class Chord(msgspec.Struct, frozen=True, kw_only=True):
    """A chord on its way in. The callback's body is `head`, the values joined by commas, `tail`."""

    id: str
    size: int
    members: tuple[ChordMember, ...]
    callback: Submission  # without its body
    head: bytes
    tail: bytes
    skipped: bytes  # the value of a member that never ran


class Cursor(msgspec.Struct, frozen=True):
    """A producer's place, moved from `expected` to `next` in the same step as its tasks go in."""

    name: str
    expected: str
    next: str


class Step(msgspec.Struct, frozen=True):
    """What goes in at once, or not at all: tasks, a producer's cursor, and what its journal says."""

    batch: Sequence[Submission] = ()
    cursor: Cursor | None = None
    entries: Sequence[Entry] = ()


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """An owner's right to run one attempt, proven by `token`."""

    id: str
    token: int
    attempt: int
    counted: int
    body: bytes
    kind: str
    source: str
    name: str
    queue: str
    settled_token: int = (
        0  # of the last attempt whose end was written; an earlier run with another was not
    )
    revoked: bool = True  # there may be a revocation of it or of its name: worth a look
    probe: bool = False  # the one task that tries whether a limit is over: see LeaseStore.alive
    credential: str = ""  # of a Claude task, where it is not the usual one
    outcome: str = ""  # what the attempt before came to; "" for a fresh start

    @property
    def scope(self) -> str:
        """What a limit of its credential closes the gate for."""
        return f"claude:{self.credential or 'default'}"


class Holding(msgspec.Struct, frozen=True):
    """Who holds a lease on what, for those that look after others' leases."""

    owner: str
    id: str
    token: int
    attempt: int
    kind: str


class Nothing(msgspec.Struct, frozen=True):
    """What a claim found when it found no task."""

    due_in_ms: int = -1  # until something is due; -1: nothing is
    kept_back: str = (
        ""  # "gate", "budget" or "token budget" where only that keeps a task from this owner
    )
    task: str = ""  # the id of the one that does not fit into what is left of a budget


class Budget(msgspec.Struct, frozen=True):
    """What Claude tasks may cost a day of the user's time zone, and what one may unless it says so itself."""

    daily_usd: float | None = None
    each_usd: float | None = None
    daily_tokens: int | None = None
    offset_ms: int | None = (
        None  # by which that zone is ahead of UTC now; None: as claims had it before
    )


class Claim(msgspec.Struct, kw_only=True):
    """What an owner asks for, and in `found` what the server answered, once it has.

    `woken` is for an owner that took a wake-up (wait_for_work): what it leaves wakes the next one.
    """

    owner: str
    nonce: str
    queues: Sequence[str]
    lease_ms: int
    budget: Budget | None = None
    woken: bool = False
    found: Lease | Nothing | None = None


class GateEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One reason why the gate is closed. `until_ms` None means until a person opens it."""

    scope: (
        str  # "all" (a pause), "claude" (the budget), "claude:NAME" (a credential's limit or login)
    )
    reason: str
    since_ms: int
    until_ms: int | None
    by: str
    why: str
    probe: str = ""  # the id of the task that tries whether it is over
    tries: int = 0  # how many have tried in vain
    remedy: str = ""  # where it depends on what was met; else the reason's (durable/remedies.py)
    about: str = ""  # who closed it and with what, to tell later whether that is mended


class Newer(NamedTuple):
    """How many tasks wait for a newer Baton than this one, and the highest version among their messages."""

    tasks: int
    version: int


class Closing(NamedTuple):
    """What closing the gate has come to: `is_new` only for the one who did it, for one alert."""

    is_new: bool
    until_ms: int | None


class Looks(NamedTuple):
    """How long after the closing one task may try, ms. The pause doubles with each that tried in vain."""

    first_ms: int
    most_ms: int = 3_600_000


def closed_for(scope: str) -> str:
    """In words, whom an entry of this scope keeps back."""
    if scope == "all":
        return "all tasks"
    credential = scope.partition(":")[2]
    paying = f" that pay by {credential}" if credential not in ("", "default") else ""
    return "Claude tasks" + paying
