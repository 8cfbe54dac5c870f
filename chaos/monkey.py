"""What the monkey does, and when: a plan from a seed. Pure; hands.py carries it out."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

#: Seconds between two acts, on average.
GAP_S = 0.5

#: So long that its task is given on meanwhile.
PAST_LEASE = "stop consumer past its lease"
#: What a sleeper gets to show what it does when it wakes, s.
_YAWN_S = 1.0

#: One deck of acts, with how often each is in it. Dealt to the end before the next is shuffled, so that
#: a short run sees every kind.
DECK = {
    "kill consumer": 9,
    "kill producer": 3,
    "stop consumer": 2,
    PAST_LEASE: 2,
    "stop producer": 1,
    "interrupt consumer": 2,
    "interrupt producer": 1,
    "kill redis": 2,
    "stop redis": 1,
    "interrupt redis": 1,
    "cut connections": 2,
    "drop replies": 4,
    "flush functions": 1,
}
#: How long what is stopped or dead stays so, s: from, to. A dead process is started again at once.
_LASTS_S = {
    "stop consumer": (0.1, 1.5),
    "stop producer": (0.1, 1.5),
    "kill redis": (0.0, 1.5),
    "interrupt redis": (0.0, 1.0),
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
    asleep: dict[str, float] = {}
    at, deck = 0.0, list[str]()
    while (at := at + dice.expovariate(1 / GAP_S)) < seconds:
        if not deck:
            deck = [what for what, count in DECK.items() for _ in range(count)]
            dice.shuffle(deck)
        what = deck.pop()
        crew = [name for name in _crew(what, consumers, producers) if asleep.get(name, 0) <= at]
        if not crew and _crew(what, consumers, producers):
            continue  # all are asleep, and nobody may touch them
        act = _act(dice, at, what, dice.choice(crew) if crew else "", lease_s)
        acts.append(act)
        if (
            what == PAST_LEASE
        ):  # a kill meanwhile would spare it the awakening, which is what is tried
            asleep[act.target] = at + act.seconds + _YAWN_S
    return acts


def _crew(what: str, consumers: Sequence[str], producers: Sequence[str]) -> Sequence[str]:
    """Whom an act may be done to; nobody in particular: none."""
    if "consumer" in what:
        return consumers
    if "producer" in what:
        return producers
    return ["redis"] if "redis" in what else []


def _act(dice: random.Random, at: float, what: str, target: str, lease_s: float) -> Act:
    past = (lease_s * 1.05, lease_s * 1.4)
    low, high = past if what == PAST_LEASE else _LASTS_S.get(what, (0.0, 0.0))
    replies = dice.randint(1, _MOST_DROPPED) if what == "drop replies" else 0
    return Act(at, what, target, dice.uniform(low, high), replies)
