"""The people of a chaos run: they cancel, hold, hasten and pause at random, past the monkey's proxy."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from chaos import obeyed, wishes
from chaos.body import now_ns
from chaos.obeyed import Deed, Pause, Place
from chaos.patience import until_answered
from chaos.wishes import Wish
from chaos.witness import place
from durable.records import State
from durable.store import LeaseStore

_LOOK_S = 0.02
#: They meddle with what comes next: there the races are.
_NEXT = 5
_REASON = "pause"


class People(threading.Thread):
    """Each wish is asked for until it is answered; what was answered is kept for the oracle."""

    def __init__(self, store: LeaseStore, seed: int, seconds: float) -> None:
        super().__init__(name="people", daemon=True)
        self._store = store
        self._plan, self._dice = wishes.plan(seed, seconds), random.Random(seed)
        self._later: list[tuple[float, Callable[[], object]]] = []
        self._stop_asked = threading.Event()
        self._paused = False
        self.deeds: list[Deed] = []
        self.pauses: list[Pause] = []
        self.done: Counter[str] = Counter()

    def run(self) -> None:
        """The whole plan, in real time."""
        begun = time.monotonic()
        waiting = list(self._plan)
        while not self._stop_asked.wait(_LOOK_S):
            while waiting and waiting[0].at_s <= time.monotonic() - begun:
                self._wish(waiting.pop(0))
            self._catch_up(time.monotonic())

    def finish(self) -> None:
        """Wish no more, and let go on whatever was put aside. The server must be up."""
        self._stop_asked.set()
        if self.ident is not None:
            self.join()
        self._catch_up(float("inf"))

    def _catch_up(self, now: float) -> None:
        for entry in [e for e in self._later if e[0] <= now]:
            self._later.remove(entry)
            entry[1]()

    def _wish(self, wish: Wish) -> None:
        acts: dict[str, Callable[[], bool]] = {
            wishes.CANCEL_WAITING: lambda: self._cancel(State.QUEUED, State.SCHEDULED, State.HELD),
            wishes.CANCEL_RUNNING: lambda: self._cancel(State.RUNNING),
            wishes.HOLD: lambda: self._hold(wish.seconds),
            wishes.HASTEN: self._hasten,
            wishes.PAUSE: lambda: self._pause(wish.seconds),
        }
        self.done[wish.what] += acts[wish.what]()

    def _cancel(self, *states: State) -> bool:
        task = self._any(*states)
        return bool(task) and self._do(obeyed.CANCEL, task, self._store.cancel)

    def _hasten(self) -> bool:
        task = self._any(State.QUEUED, State.SCHEDULED)
        return bool(task) and self._do(obeyed.HASTEN, task, self._store.hasten)

    def _hold(self, seconds: float) -> bool:
        task = self._any(State.QUEUED, State.SCHEDULED)
        if not task:
            return False
        self._do(obeyed.HOLD, task, lambda task: self._store.hold(task, "not today"))
        self._later.append((time.monotonic() + seconds, lambda: self._requeue(task)))
        return True

    def _requeue(self, task: str) -> None:
        """Unless somebody cancelled it: a cancel is for good here, so that whatever lives after it is a defect."""
        if not any(deed.task == task and deed.what == obeyed.CANCEL for deed in self.deeds):
            self._do(obeyed.REQUEUE, task, self._store.requeue)

    def _pause(self, seconds: float) -> bool:
        if self._paused:
            return False
        self._paused = True
        close = self._store.close_gate
        until_answered(lambda: close("all", _REASON, by="people", why="a pause"))
        since = until_answered(self._latest_event)
        self._later.append((time.monotonic() + seconds, lambda: self._unpause(since)))
        return True

    def _unpause(self, since: Place) -> None:
        self.pauses.append(Pause(since, until_answered(self._latest_event)))
        until_answered(lambda: self._store.open_gate(_REASON))
        self._paused = False

    def _latest_event(self) -> Place:
        """The queue's own order of events tells what came first, whatever a clock says."""
        found: Any = self._store.client.xinfo_stream(self._store.prefix + "events")
        return place(found["last-generated-id"])

    def _any(self, *states: State) -> str:
        """A task in one of these states; "" when there is none."""
        pages = [until_answered(partial(self._store.page, state, _NEXT)) for state in states]
        ids = [record.id for page in pages for record in page]
        return self._dice.choice(ids) if ids else ""

    def _do(self, what: str, task: str, act: Callable[[str], State]) -> bool:
        asked = now_ns()
        found = until_answered(lambda: act(task))
        self.deeds.append(Deed(what, task, found.value, asked, now_ns()))
        return True
