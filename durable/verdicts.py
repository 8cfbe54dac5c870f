"""What the body of a task may raise to say how its attempt ends, when more than success or error is to be said."""

from __future__ import annotations

from typing import Any

from huey.exceptions import (
    CancelExecution,
    RateLimitExceeded,
    RetryTask,
    TaskException,
    TaskLockedException,
)


class Fail(TaskException):  # a verdict, not an error of ours
    """Final at once, whatever retries are left. `outcome` is one word of the table of outcomes."""

    def __init__(self, outcome: str, message: str, remedy: str = "", **facts: Any) -> None:
        self.outcome, self.message, self.remedy = outcome, message, remedy
        super().__init__({"error": message, "outcome": outcome, "remedy": remedy, **facts})


class Retry(RetryTask):
    """Another attempt after `delay` seconds; this one counts against `retries`."""

    def __init__(self, outcome: str, message: str, delay: float) -> None:
        self.outcome, self.message = outcome, message
        super().__init__(msg=message, delay=delay)


class GiveBack(KeyboardInterrupt):
    """The attempt does not count; the task goes back to the head of the queue, or waits `delay` s.

    Without `excused` its start counts towards STARTS_CAP, for what might go on for ever.

    A KeyboardInterrupt, because that is what Huey takes for "interrupted: store nothing".
    """

    def __init__(
        self, outcome: str, message: str, delay: float = 0.0, *, excused: bool = True
    ) -> None:
        self.outcome, self.message, self.delay, self.excused = outcome, message, delay, excused
        super().__init__(message)


class Hold(KeyboardInterrupt):
    """The task waits for a person, with the reason."""

    def __init__(self, outcome: str, message: str) -> None:
        self.outcome, self.message = outcome, message
        super().__init__(message)


class Leave(KeyboardInterrupt):
    """The run goes on without this process; whoever adopts it writes its end. Nothing is written now."""


#: What a body raises on purpose, Huey's own words included; anything else is worth a traceback.
VERDICTS = (
    *(Fail, GiveBack, Hold, Leave, KeyboardInterrupt),
    *(RetryTask, CancelExecution, TaskLockedException, RateLimitExceeded),
)
