"""What a verb raises when it cannot go on: one sentence on what is wrong, one on what to do."""

from __future__ import annotations


class CliError(Exception):
    """A verb cannot do its work; printed without a traceback, exit status 1."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}\n  {self.remedy}" if self.remedy else self.problem


def redis_is_away(error: Exception) -> bool:
    """Whether an error is one of redis-py's; known by name, so that nothing is loaded for the question."""
    return any(cls.__name__ == "RedisError" for cls in type(error).__mro__)
