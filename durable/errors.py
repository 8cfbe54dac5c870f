"""Every error that the queue raises, under one root, with fields for programs and a sentence for people.

But for TaskFailed, which is one of Huey's own (durable/results.py): nothing is loaded here.
"""

from __future__ import annotations


class BatonError(Exception):
    """Root of Baton's own errors."""


class CodecError(BatonError):
    """A value cannot be written as JSON, or bytes read from the queue are no message of ours."""


class UnknownTaskError(BatonError):
    """A message names a task that this process has not loaded."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(
            f"no task is called {name!r} here; add its module to `tasks:` in baton.yaml, "
            "run ./baton up, then ./baton retry ID"
        )


class CursorMovedError(BatonError):
    """A producer's cursor is not where the caller believed: another process was faster."""

    def __init__(self, name: str, expected: str, actual: str) -> None:
        self.name, self.expected, self.actual = name, expected, actual
        super().__init__(
            f"cursor {name!r} is at {actual!r}, not at {expected!r}; nothing was submitted"
        )


class LeaseLostError(BatonError):
    """A lease was given on, so this owner's word about the task no longer counts."""

    def __init__(self, task_id: str, token: int) -> None:
        self.task_id, self.token = task_id, token
        super().__init__(f"task {task_id}: lease {token} is no longer ours; its result is refused")


class NoSuchTaskError(BatonError):
    """No task has this id, or more than one begins with it."""

    def __init__(self, prefix: str, matches: int = 0) -> None:
        self.prefix, self.matches = prefix, matches
        what = (
            "no task has the id" if not matches else f"{matches} tasks have an id that begins with"
        )
        super().__init__(f"{what} {prefix!r}; ./baton list shows them")


class ServerError(BatonError):
    """The Redis server is missing, cannot start, or is not safe to use as a queue."""
