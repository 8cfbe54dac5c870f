"""Standing problems of schedules: ticks that ran late or not at all, until one runs on time again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

from durable.problems import Problems
from producers.catching_up import GRACE, Decision
from producers.ticks import iso


class Lateness:
    """What of its late and missed ticks each schedule should make known. May be told at every turn."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._standing: dict[str, str] = {}
        self._over: set[str] = set()
        self._begun = False

    def note(self, subject: str, found: Decision, nominal: dt.datetime) -> None:
        """Ticks of a schedule were settled at this nominal time; the last word counts."""
        if words := _words(found, nominal):
            self._standing[subject] = words
        elif found.run and subject in self._standing:
            del self._standing[subject]
            self._over.add(subject)

    def tell(self, subjects: Collection[str]) -> None:
        """Say what stands and what is over; `subjects` are all there are. Raises redis.RedisError."""
        if not self._begun:
            self._begin(subjects)
        for subject in sorted(self._over):
            self._problems.clear(subject)
            self._over.discard(subject)
        for subject, words in self._standing.items():
            self._problems.tell(subject, words)

    def _begin(self, subjects: Collection[str]) -> None:
        """What a process before this one told may stand yet; what it told of others is forgotten."""
        self._problems.keep(("schedule",), subjects)
        for problem in self._problems.standing():
            if problem.host == self._problems.host and problem.subject in subjects:
                self._standing.setdefault(problem.subject, problem.text)
        self._begun = True


def _words(found: Decision, nominal: dt.datetime) -> str:
    """What is wrong with how these ticks were settled; "" for nothing."""
    said = [str(passed) for passed in found.passed if passed.what == "skipped"]
    late = [tick for tick in found.run if nominal - tick > GRACE]
    if late:
        after = (nominal - late[-1]).total_seconds()
        said.append(f"the tick of {iso(late[-1])} ran {_span(after)} late")
    return "; ".join(said)


def _span(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 48 * 60 else f"{minutes // 1440} d"
