"""Which tasks a producer puts in: the same for the same seed, producer and number. Pure."""

from __future__ import annotations

import random
from typing import NamedTuple

#: Each of these shapes of task comes up as often as it stands here.
_SHAPES = {"plain": 10, "retried": 3, "delayed": 3, "chain": 2, "parent": 2}
_SHORT_S = (0.02, 0.25)
#: Some bodies outlive a lease, so that beats matter; in leases.
_LONG = (1.1, 1.6)
_ONE_IN = 120
_MOST_RETRIES = 2
_LONGEST_DELAY_S = 1.5
_PRIORITIES = 3
_MOST_TASKS = 3
#: The lock of all tasks of a batch, so that they meet at it at once; most batches have none.
_LOCKS = ("lock-1", "lock-2", "", "", "")


class Item(NamedTuple):
    """One task. `chain` tasks follow at its end; a `child` key is what its body puts in a task under.

    No other task of the same `lock` may run at the same time.
    """

    key: str
    seconds: float
    retries: int = 0
    delay_s: float = 0.0
    priority: int = 0
    chain: int = 0
    child: str = ""
    lock: str = ""


def batch(seed: int, producer: str, number: int, lease_s: float) -> list[Item]:
    """The items of one batch; keys are `producer/number/index`."""
    dice = random.Random(f"{seed}/{producer}/{number}")
    count = dice.randint(1, _MOST_TASKS)
    lock = dice.choice(_LOCKS)
    return [_item(dice, f"{producer}/{number}/{i}", lease_s, lock) for i in range(count)]


def _item(dice: random.Random, key: str, lease_s: float, lock: str) -> Item:
    shape = dice.choices(list(_SHAPES), list(_SHAPES.values()))[0]
    seconds = dice.uniform(*_SHORT_S)
    if dice.randrange(_ONE_IN) == 0:
        seconds = lease_s * dice.uniform(*_LONG)
    return Item(
        key=key,
        seconds=seconds,
        retries=dice.randint(1, _MOST_RETRIES) if shape == "retried" else 0,
        delay_s=dice.uniform(0, _LONGEST_DELAY_S) if shape == "delayed" else 0.0,
        priority=dice.randrange(_PRIORITIES),
        chain=dice.randint(1, 2) if shape == "chain" else 0,
        child=f"{key}/child" if shape == "parent" else "",
        lock=lock,
    )
