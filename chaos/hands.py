"""Carries out the monkey's plan on a crew: every act at its time, and what must follow it later."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable

import redis

from chaos.crew import Crew
from chaos.monkey import Act
from chaos.proxy import Proxy

_LOOK_S = 0.01


class Hands:
    """What was done is counted by kind; an act whose target is away at that moment is not done."""

    def __init__(self, crew: Crew, proxy: Proxy, server: redis.Redis) -> None:
        self._crew, self._proxy, self._server = crew, proxy, server
        self._later: list[tuple[float, Callable[[], object]]] = []
        self.done: Counter[str] = Counter()

    def play(self, acts: list[Act], seconds: float) -> None:
        """The whole plan, in real time."""
        begun = time.monotonic()
        waiting = list(acts)
        while (now := time.monotonic() - begun) < seconds:
            while waiting and waiting[0].at_s <= now:
                self._do(waiting.pop(0))
            self._catch_up()
            self._crew.revive()
            time.sleep(_LOOK_S)

    def heal(self) -> None:
        """Everybody goes on, nothing is dropped."""
        self._proxy.drop_replies(0)
        self._later.clear()
        self._crew.wake()
        self._crew.revive()

    def _catch_up(self) -> None:
        now = time.monotonic()
        for entry in [e for e in self._later if e[0] <= now]:
            self._later.remove(entry)
            entry[1]()

    def _do(self, act: Act) -> None:
        if act.target:
            done = self._to_a_process(act)
        elif act.what == "cut connections":
            done = self._proxy.cut() > 0
        elif act.what == "drop replies":
            self._proxy.drop_replies(act.replies)
            done = True
        else:
            done = self._flush()
        self.done[act.what] += done

    def _to_a_process(self, act: Act) -> bool:
        member = self._crew.members[act.target]
        if act.what.startswith("kill"):
            member.away_until = time.monotonic() + act.seconds
            return member.signal(signal.SIGKILL)
        if act.what.startswith("interrupt"):
            member.away_until = time.monotonic() + act.seconds
            return member.signal(signal.SIGINT)
        if not member.signal(signal.SIGSTOP):
            return False
        starts = member.starts
        awake = time.monotonic() + act.seconds
        self._later.append((awake, lambda: self._wake(act.target, starts)))
        return True

    def _wake(self, name: str, starts: int) -> None:
        member = self._crew.members[name]
        if member.starts == starts:  # else it was killed meanwhile, and this is another
            member.signal(signal.SIGCONT)

    def _flush(self) -> bool:
        try:
            self._server.function_flush()  # the library of all our transitions
        except redis.RedisError:
            return False
        return True
