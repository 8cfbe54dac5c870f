"""What the queue says of each task at the end, found by id or by key. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from chaos.acks import Ack, Promise

SUCCEEDED, FAILED, CANCELLED = "succeeded", "failed", "cancelled"
FINAL = (SUCCEEDED, FAILED, CANCELLED)


class Fact(msgspec.Struct, frozen=True):
    """One task."""

    state: str
    key: str = ""
    attempt: int = 0
    counted: int = 0
    settled_token: int = 0


class Tasks:
    """All tasks of a run, and what the promises say of them."""

    def __init__(self, facts: Mapping[str, Fact], acks: Sequence[Ack]) -> None:
        self.facts = facts
        self.promises = [promise for ack in acks for promise in ack.tasks]
        self._by_key = {fact.key: task for task, fact in facts.items() if fact.key}

    def id_of(self, name: str) -> str:
        """The id behind an id or a key; "" when there is no such task."""
        return name if name in self.facts else self._by_key.get(name, "")

    def find(self, promise: Promise) -> str:
        """The id of the task that keeps a promise; "" when there is none."""
        return self.id_of(promise.id) or (self.id_of(promise.key) if promise.key else "")

    def state(self, name: str) -> str:
        """By id or key; "" when there is no such task."""
        found = self.id_of(name)
        return self.facts[found].state if found else ""

    def is_due(self, promise: Promise) -> bool:
        """Whether the task must be in: what goes in later must once the task that brings it has succeeded."""
        brought_by = promise.follows or promise.child_of
        return not brought_by or self.state(brought_by) == SUCCEEDED

    def locks(self) -> dict[str, str]:
        """The lock of each task that has one, by id."""
        return {task: p.lock for p in self.promises if p.lock and (task := self.find(p))}

    def unkept(self) -> Iterator[str]:
        """Promised ids that are due and nowhere, and tasks that came to no end."""
        due = {p.id for p in self.promises if p.id and self.is_due(p)}
        yield from due - set(self.facts)
        yield from (task for task, fact in self.facts.items() if fact.state not in FINAL)

    def too_early(self) -> Iterator[str]:
        """What is in although the task that it follows has not succeeded."""
        for promise in self.promises:
            if promise.follows and not self.is_due(promise) and promise.id in self.facts:
                yield f"{promise.id}: in, but {promise.follows} has not succeeded"

    def miscounted_keys(self) -> Iterator[str]:
        """A key that is due, or there at all, stands for exactly one task."""
        found = Counter(fact.key for fact in self.facts.values() if fact.key)
        due = {p.key for p in self.promises if p.key and self.is_due(p)}
        for key in found.keys() | due:
            if found[key] != 1:
                yield f"{key}: {found[key]} tasks"

    def miscounted_attempts(self, sent_back: Iterable[str]) -> Iterator[str]:
        """Attempts that counted are those whose body failed; for what a person `sent_back` they begin anew."""
        anew = set(sent_back)
        for promise in self.promises:
            task = self.find(promise)
            if not task or self.facts[task].state != SUCCEEDED:
                continue
            counted, failed = self.facts[task].counted, promise.retries
            if counted > failed or (counted < failed and task not in anew):
                yield f"{task} counted {counted} attempts, {failed} failed"
