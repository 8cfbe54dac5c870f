"""The task of a chaos run on Baton, and how a producer puts it in. Imported by consumers and producers only."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from chaos.batches import Item
from chaos.body import Diary, Overtaken
from chaos.fence import Fence
from chaos.patience import until_answered
from chaos.work_item import Stumble, prepared
from consumers.times import LEASE_MS
from durable import effects
from durable.records import Submission
from durable.verdicts import GiveBack
from tasks import config, huey

#: A run after one that was cut off takes longer, so that a stale owner which wakes finds it running.
_AGAIN_S = 1.0

LINES = config.base / "lines.log"


@huey.task(context=True)
def work(seconds: float, child: str = "", *, task: Any) -> None:
    """Live for so long; fail while retries are left; put a child in under its key."""
    running = effects.current()
    assert running is not None
    lease = running.lease
    if lease.attempt - lease.counted > 1:
        seconds += _AGAIN_S
    fence = Fence(huey.store, lease, LEASE_MS)
    diary = Diary(LINES, lease.id, f"{lease.attempt}.{lease.token}", fence.allows)
    if child:
        until_answered(lambda: huey.enqueue(work.s(seconds / 4), key=child))
    try:
        diary.live(seconds, "stumble" if task.retries else "end")
    except Overtaken:
        if fence.lost and lease.token % 4:
            return  # as a body that knows nothing of leases: this success must be refused
        raise GiveBack("interrupted", "its lease ran out") from None
    if task.retries:
        raise Stumble


def lock_of(item: Item) -> str:
    """The lock that the item's task is put in under; none while the queue knows no locks."""
    return item.lock if "lock" in Submission.__struct_fields__ else ""


def submission(item: Item, task_id: str) -> Submission:
    """An item for `submit`, under a key and an id of the producer's choice."""
    task = prepared(work, item)
    task.id, task.revoke_id, task.key = task_id, f"r:{task_id}", item.key
    found: Submission = huey.serialize_task(task).submission
    lock = lock_of(item)
    return msgspec.structs.replace(found, lock=lock) if lock else found


def fresh_id() -> str:
    """An id that nobody has used."""
    return uuid.uuid4().hex
