"""The connection of a thread: what breaks an exchange off never leaves its answer to the next one."""

from typing import Any

import fakeredis
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from durable.line import Line


@pytest.fixture
def line() -> Line:
    client = fakeredis.FakeRedis()
    client.set_retry(Retry(NoBackoff(), 1))
    found = Line(client)
    assert found.ask("SET", "a", "1") in (b"OK", True, "OK")
    return found


def break_off(line: Line, monkeypatch: pytest.MonkeyPatch, *errors: BaseException) -> None:
    """The next readings raise these instead, and leave the answers where they are."""
    connection, left = line._connection, list(errors)
    read = connection.read_response

    def broken(*args: Any, **more: Any) -> Any:
        if left:
            raise left.pop(0)
        return read(*args, **more)

    monkeypatch.setattr(connection, "read_response", broken)


def test_a_lost_connection_is_opened_again_and_the_command_repeated(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_off(line, monkeypatch, redis.ConnectionError("cut"))
    assert line.ask("GET", "a") == b"1"


def test_one_that_stays_lost_is_said(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    break_off(line, monkeypatch, *(redis.ConnectionError("cut") for _ in range(3)))
    with pytest.raises(redis.ConnectionError):
        line.ask("GET", "a")


@pytest.mark.parametrize("before", [[], [redis.ConnectionError("cut")]], ids=["at once", "again"])
def test_an_answer_that_was_not_read_is_not_the_next_one_s(
    line: Line, monkeypatch: pytest.MonkeyPatch, before: list[BaseException]
) -> None:
    """A signal may come between a question and its answer, in a repeat as well."""
    break_off(line, monkeypatch, *before, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        line.ask("GET", "a")
    assert line.ask("ECHO", "mine") == b"mine"


def test_a_refusal_keeps_the_connection(line: Line) -> None:
    kept = line._connection
    with pytest.raises(redis.ResponseError):
        line.ask("LPUSH", "a", "x")
    assert line.ask("GET", "a") == b"1"
    assert line._connection is kept
