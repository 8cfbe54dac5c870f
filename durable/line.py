"""One connection for each thread, without a pool: half the time of a script call went into borrowing one."""

from __future__ import annotations

import os
import threading
from typing import Any, cast

import redis
from hiredis import pack_command


class Line(threading.local):
    """Sends one command and reads its answer, on a connection that this thread alone uses.

    A lost connection is opened again and the command repeated as often as the client's `retry` says: only for
    commands that may be repeated. A process that was forked gets a connection of its own.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._connection: Any = None
        self._process = 0

    def ask(self, *words: object) -> Any:
        """The answer. Raises redis.RedisError, of which ResponseError means that the server refused."""
        try:
            return self._exchange(words)
        except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
            return self._again(words, error)

    def _exchange(self, words: tuple[object, ...]) -> Any:
        connection = self._ready()
        try:
            connection.send_packed_command([_packed(words)])
            return connection.read_response()
        except redis.ResponseError:  # an answer like any other
            raise
        except BaseException:  # an answer that nobody read must not be the next one's
            connection.disconnect()
            raise

    def _again(self, words: tuple[object, ...], error: Exception) -> Any:
        """With the pauses that the client was made with; the last error is raised."""
        retry: Any = self._client.get_retry()
        if retry is None:
            raise error
        left = [error]

        def once() -> Any:
            if left:
                raise left.pop()
            return self._exchange(words)

        return retry.call_with_retry(once, lambda _: None)

    def _ready(self) -> Any:
        if self._connection is None or self._process != os.getpid():
            self._connection = self._client.connection_pool.get_connection()
            self._process = os.getpid()
        return self._connection


def _packed(words: tuple[object, ...]) -> bytes:
    """As redis-py does it, which looks at each word once more before. Text, bytes and numbers only."""
    taken = cast("tuple[str | int | float | bytes | memoryview[int]]", words)
    packed: bytes = pack_command(taken)
    return packed
