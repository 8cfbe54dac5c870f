"""The scripted scene of the crash-point test: one task of every kind whose end causes something."""

import time
from typing import Any

from huey import chord

from chaos import acks
from chaos.acks import Promise
from chaos.body import Diary
from consumers.times import BEAT_S, LEASE_MS
from durable import effects, identity
from durable.records import Cursor, Lease
from durable.verdicts import GiveBack
from tasks import config, huey, task_submission

ACKS = config.base / "acks-producer.log"
CHILD, GATHERED, LOCK = "child", "gathered", "one at a time"
CURSOR, STEPS = "feed", 4


def live(last_word: str = "end", seconds: float = 0) -> Lease:
    """Write down that this run lives, for the oracle."""
    running = effects.current()
    assert running is not None
    lease = running.lease
    run = f"{lease.attempt}.{lease.token}"
    Diary(config.base / "lines.log", lease.id, run, lambda moment_ns: True).live(seconds, last_word)
    return lease


@huey.task()
def step(number: int) -> int:
    live()
    return number + 1


@huey.task(context=True)
def flaky(*, task: Any) -> None:
    live("stumble" if task.retries else "end")
    if task.retries:
        raise ValueError("planned")


@huey.task()
def given_back() -> None:
    running = effects.current()
    assert running is not None
    first = running.lease.attempt == 1
    live("stumble" if first else "end")
    if first:
        raise GiveBack("interrupted", "planned")


@huey.task()
def parent() -> None:
    huey.enqueue(step.s(1), key=CHILD)
    live()


@huey.task()
def slow() -> None:
    live(seconds=1.2 * BEAT_S)


@huey.task()
def gathered(values: list[int]) -> list[int]:
    live()
    return values


def put_in() -> None:
    """The scene: two tasks of dead owners, one of which has the victim's name; then one of every kind."""
    queue = huey.store
    abandoned, mine = step.s(1), step.s(1)
    huey.enqueue(abandoned)
    assert isinstance(queue.claim("a dead owner", "nonce", ["default"], 1), Lease)
    time.sleep(0.01)
    assert queue.reap(1) == [(abandoned.id, "suspected")]
    huey.enqueue(mine)
    own = identity.owner(config.var, "consumer-1")
    assert isinstance(queue.claim(own, "nonce", ["default"], LEASE_MS), Lease)
    once_failing, chain = flaky.s(retries=1), step.s(1).then(step).then(step)
    members = [step.s(1), step.s(2)]
    together = chord(members, gathered.s())
    others = [step.s(1), given_back.s(), parent.s(), slow.s(), step.s(1, delay=0.05)]
    for task in (once_failing, chain, together, *others):
        huey.enqueue(task)
    locked = [step.s(1), step.s(1)]
    for task in locked:
        huey.enqueue(task, lock=LOCK)
    middle = chain.on_complete
    owed = [
        *(Promise(id=task.id, lock=LOCK) for task in locked),
        *(Promise(id=task.id) for task in (abandoned, mine, chain, *members, *others)),
        Promise(id=once_failing.id, retries=1),
        Promise(id=middle.id, follows=chain.id),
        Promise(id=middle.on_complete.id, follows=middle.id),
        Promise(id=together.callback.id, follows=members[0].id),
        Promise(key=CHILD, child_of=others[2].id),
    ]
    acks.write(ACKS, acks.Ack(owed))
    (config.base / GATHERED).write_text(together.callback.id)


def produce() -> None:
    """A producer that goes on from its cursor, and ends with a task under a key of its own."""
    queue = huey.store
    while (place := int((was := queue.read_cursor(CURSOR)) or 0)) < STEPS:
        keys = [f"{CURSOR}/{place}/{i}" for i in range(2)]
        batch = [task_submission("step", [place], key=key, source=CURSOR) for key in keys]
        queue.submit(batch, Cursor(CURSOR, was, str(place + 1)))
        acks.write(ACKS, acks.Ack([Promise(key=key) for key in keys], CURSOR, place + 1))
    huey.enqueue(step.s(1), key="the last")
    acks.write(ACKS, acks.Ack([Promise(key="the last")]))
