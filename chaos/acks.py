"""What producers were told is in the queue: one JSON line for each answer, and how it is read back."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec


class Promise(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One task that the queue answered for, known by its id, its key or both.

    `retries` is how often its body fails first. Some go in later: with the success of the task that they
    follow, or with the body of the one whose child they are; both are named by id or by key. No two tasks of
    one `lock` may run at once.
    """

    id: str = ""
    key: str = ""
    retries: int = 0
    follows: str = ""
    child_of: str = ""
    lock: str = ""


class Ack(msgspec.Struct, frozen=True):
    """One answer: its tasks, and a cursor with its new place."""

    tasks: list[Promise]
    cursor: str = ""
    place: int = 0


def write(file: Path, ack: Ack) -> None:
    """Append one line; a kill leaves all of it or nothing."""
    fd = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, msgspec.json.encode(ack) + b"\n")
    finally:
        os.close(fd)


def read(file: Path) -> list[Ack]:
    """All answers so far."""
    if not file.exists():
        return []
    return [msgspec.json.decode(line, type=Ack) for line in file.read_bytes().splitlines()]
