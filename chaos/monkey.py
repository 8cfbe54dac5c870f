"""What the monkey does, and when: a plan from a seed. Pure; hands.py carries it out."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

#: Seconds between two acts, on average.
GAP_S = 0.5

#: One deck of acts, with how often each is in it. Dealt to the end before the next is shuffled, so that
#: a short run sees every kind.
DECK = {
    "kill consumer": 9,
    "kill producer": 3,
    "stop consumer": 2,
    "stop consumer past its lease": 2,
    "stop producer": 1,
    "interrupt consumer": 2,
    "interrupt producer": 1,
    "kill redis": 2,
    "stop redis": 1,
    "cut connections": 2,
    "drop replies": 4,
    "flush scripts": 1,
}
#: How long what is stopped or dead stays so, s: from, to. A dead process is started again at once.
_LASTS_S = {
    "stop consumer": (0.1, 1.5),
    "stop producer": (0.1, 1.5),
    "kill redis": (0.0, 1.5),
    "stop redis": (0.1, 1.0),
}
_MOST_DROPPED = 5


class Act(NamedTuple):
    """One deed: `seconds` is how long it lasts, `replies` how many it loses."""

    at_s: float
    what: str
    target: str = ""
    seconds: float = 0.0
    replies: int = 0


def plan(
    seed: int, seconds: float, consumers: Sequence[str], producers: Sequence[str], lease_s: float
) -> list[Act]:
    """The acts of one run in their order; the same seed gives the same ones, and a shorter run the first of them.

    `lease_s` is when a silent consumer's task is given on: lease and grace together.
    """
    dice = random.Random(seed)
    acts: list[Act] = []
    at, deck = 0.0, list[str]()
    while (at := at + dice.expovariate(1 / GAP_S)) < seconds:
        if not deck:
            deck = [what for what, count in DECK.items() for _ in range(count)]
            dice.shuffle(deck)
        acts.append(_act(dice, at, deck.pop(), consumers, producers, lease_s))
    return acts


def _act(
    dice: random.Random,
    at: float,
    what: str,
    consumers: Sequence[str],
    producers: Sequence[str],
    lease_s: float,
) -> Act:
    target = ""
    if "consumer" in what:
        target = dice.choice(consumers)
    elif "producer" in what:
        target = dice.choice(producers)
    elif "redis" in what:
        target = "redis"
    past = (lease_s * 1.05, lease_s * 1.4)
    low, high = past if "past" in what else _LASTS_S.get(what, (0.0, 0.0))
    replies = dice.randint(1, _MOST_DROPPED) if what == "drop replies" else 0
    return Act(at, what, target, dice.uniform(low, high), replies)
