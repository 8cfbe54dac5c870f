"""Asks again until Redis answers: what every producer and body of a chaos run does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import redis

T = TypeVar("T")
_PAUSE_S = 0.1


def until_answered(act: Callable[[], T]) -> T:
    """The answer of `act`, however often Redis is away first."""
    while True:
        try:
            return act()
        except redis.RedisError:
            time.sleep(_PAUSE_S)
