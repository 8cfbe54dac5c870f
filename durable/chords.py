"""What goes in together: the tasks of a group, and chords with their members, gathered and then sent in one step.

A chord's callback is written when the chord goes in, with a gap where the results belong. The last member's settle
fills the gap with the members' values as they were stored, joined as text: JSON values with commas between them are a
JSON array, so the server never reads one. The callback's record then holds all it needs, for retries and readers too.
"""

from __future__ import annotations

import copy
import datetime as dt
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from huey.api import chord
from huey.utils import SKIPPED

from durable.records import Chord, ChordMember, Submission
from durable.storage import Message
from durable.store import LeaseStore


class Writer(Protocol):
    """What a chord needs of the Huey that writes it."""

    utc: bool
    serializer: Any

    def serialize_task(self, task: Any) -> Message:
        """The task's message, with its submission."""


@dataclass
class Batch:
    """Tasks on their way in together, each with the signals to send once it is in."""

    tasks: list[tuple[Any, Submission, tuple[str, ...]]] = field(default_factory=list)
    chords: list[Chord] = field(default_factory=list)

    def submit(self, store: LeaseStore) -> None:
        """Put all in, or nothing; a task whose key was known takes the id of the one that is there."""
        submissions = [submission for _, submission, _ in self.tasks]
        put_in = partial(store.open_chords, self.chords) if self.chords else store.submit
        answers = put_in(submissions)
        for (task, _, _), answer in zip(self.tasks, answers, strict=True):
            stands_for(task, answer.id)


def stands_for(task: Any, task_id: str) -> None:
    """The task has this id from now on."""
    task.id, task.revoke_id = task_id, f"r:{task_id}"


class Gathered(threading.local):
    """What this thread is gathering, if anything."""

    batch: Batch | None = None


def pipeline(task: Any) -> Iterator[Any]:
    """The task and those that follow it when it succeeds."""
    while task is not None:
        yield task
        task = task.on_complete


def opening(huey: Writer, group: Any) -> Chord:
    """The chord as it goes in, once Huey has numbered its members."""
    heads = [m.callback if isinstance(m, chord) else m for m in group.tasks]
    members = tuple(m for place, head in enumerate(heads) for m in _members(place, head))
    *_, tail = pipeline(heads[0])
    callback, before, after = _with_gap(huey, group.callback)
    return Chord(
        id=tail.chord_config.cid,
        size=len(heads),
        members=members,
        callback=callback,
        head=before,
        tail=after,
        skipped=huey.serializer.serialize(SKIPPED),
    )


def _members(place: int, head: Any) -> list[ChordMember]:
    return [ChordMember(t.id, place, t.on_complete is None) for t in pipeline(head)]


def _with_gap(huey: Writer, callback: Any) -> tuple[Submission, bytes, bytes]:
    gap = uuid.uuid4().hex
    written = copy.copy(callback)  # it may be sent again, and arguments must not pile up
    written.args = (*callback.args, gap)
    if isinstance(written.expires, dt.datetime):  # seconds count from when the callback goes in
        written.resolve_expires(huey.utc)
    submission = huey.serialize_task(written).submission
    before, after = submission.body.split(f'"{gap}"'.encode())
    return submission, before + b"[", b"]" + after
