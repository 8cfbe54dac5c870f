"""One game: the monkey plays with one side for so long, then everything is healed, drained and looked at."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import msgspec
import redis

from chaos import monkey
from chaos.arena import LEASE_S, Arena
from chaos.hands import Hands
from chaos.oracle import Evidence
from chaos.sides import Side

#: How long the tasks that are left may take once everything works again, s.
DRAIN_S = 60.0
_GO_HOME_S = 30.0
#: The hands themselves have to wake a stopped server: they cannot wait for its answer.
_HASTY_S = 0.5


class Outcome(msgspec.Struct, frozen=True):
    """What one game showed. `drained` says whether the queue came to its end in time."""

    side: str
    seconds: float
    drained: bool
    drain_s: float
    done: Counter[str]
    dropped: int
    evidence: Evidence
    folder: str
    surprises: dict[str, list[int]]


class Rules(msgspec.Struct, frozen=True):
    """How long, with which dice, and with how many."""

    seconds: float
    seed: int
    consumers: int = 3
    producers: int = 2


def play(arena: Arena, make: Callable[[Arena], Side], rules: Rules) -> Outcome:
    """Raises ArenaError when the arena does not come up, or not again."""
    arena.open()
    side = make(arena)
    consumers = [f"consumer-{n}" for n in range(1, rules.consumers + 1)]
    producers = [f"producer-{n}" for n in range(1, rules.producers + 1)]
    for number, name in enumerate(consumers, 1):
        arena.add(name, side.consumer(number))
    for name in producers:
        arena.add(name, side.producer(name, rules.seed))
    hasty = redis.Redis(unix_socket_path=str(arena.socket), socket_timeout=_HASTY_S)
    hands = Hands(arena.crew, arena.proxy, hasty)
    side.let_people_in(rules.seed, rules.seconds)
    hands.play(monkey.plan(rules.seed, rules.seconds, consumers, producers, LEASE_S), rules.seconds)
    hands.heal()
    arena.wait_for_server()
    hands.done.update(side.send_people_home())
    for name in producers:
        arena.crew.members[name].dismiss(_GO_HOME_S)
    begun = time.monotonic()
    drained = _drain(arena, side)
    took = time.monotonic() - begun
    for name in consumers:
        arena.crew.members[name].dismiss(_GO_HOME_S)
    return Outcome(
        side=side.name,
        seconds=rules.seconds,
        drained=drained,
        drain_s=took,
        done=hands.done,
        dropped=arena.proxy.dropped,
        evidence=side.evidence(),
        folder=str(arena.folder),
        surprises=arena.crew.surprises(),
    )


def _drain(arena: Arena, side: Side) -> bool:
    until = time.monotonic() + DRAIN_S
    while time.monotonic() < until:
        arena.crew.revive()
        try:
            if side.done():
                return True
        except redis.RedisError:  # it has just been started again
            arena.wait_for_server()
        time.sleep(0.1)
    return False
