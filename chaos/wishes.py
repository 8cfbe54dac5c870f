"""What people want of the queue in a chaos run, and when: a plan from a seed. Pure; people.py carries it out."""

from __future__ import annotations

import random
from typing import NamedTuple

#: Seconds between two wishes, on average.
GAP_S = 0.5

CANCEL_WAITING, CANCEL_RUNNING = "cancel a waiting task", "cancel a running task"
HOLD, HASTEN, PAUSE = "hold a task", "hasten a task", "pause"
#: One deck of wishes, dealt to the end before the next is shuffled.
DECK = {CANCEL_WAITING: 3, CANCEL_RUNNING: 2, HOLD: 4, HASTEN: 1, PAUSE: 1}
#: How long it lasts, s: from, to.
_LASTS_S = {HOLD: (0.2, 2.5), PAUSE: (0.2, 1.2)}


class Wish(NamedTuple):
    """One of them; `seconds` is how long a hold or a pause lasts."""

    at_s: float
    what: str
    seconds: float = 0.0


def plan(seed: int, seconds: float) -> list[Wish]:
    """The same for the same seed; a shorter run gets the first of them. Whom they meet is left to the moment."""
    dice = random.Random(f"{seed}/people")
    wishes: list[Wish] = []
    at, deck = 0.0, list[str]()
    while (at := at + dice.expovariate(1 / GAP_S)) < seconds:
        if not deck:
            deck = [what for what, count in DECK.items() for _ in range(count)]
            dice.shuffle(deck)
        what = deck.pop()
        wishes.append(Wish(at, what, dice.uniform(*_LASTS_S.get(what, (0.0, 0.0)))))
    return wishes
