"""A Redis client with limits on how long it waits, and the checks that make a server fit to hold a queue."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import urlsplit, urlunsplit

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from durable.errors import ServerError
from durable.fitness import Findings, judge, needed

#: Seconds without an answer after which a connection counts as broken; above every blocking call (5 s).
SOCKET_TIMEOUT_S = 15.0
CONNECT_TIMEOUT_S = 5.0


def connect(url: str, *, retries: int = 2) -> redis.Redis:
    """A client for redis://, rediss:// or unix:// that connects at its first command.

    A command whose reply was lost is sent again, at most `retries` times: every script of ours may be.
    """
    backoff = ExponentialWithJitterBackoff(base=0.05, cap=1.0)
    limits: dict[str, Any] = {
        "socket_timeout": SOCKET_TIMEOUT_S,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "retry": Retry(backoff, retries),
        "retry_on_error": [redis.ConnectionError, redis.TimeoutError],
        "health_check_interval": 30,
    }
    client: redis.Redis = redis.Redis.from_url(url, **limits)
    return client


def hide_password(url: str) -> str:
    """The URL as it may be printed: without its password and its query, which may hold one."""
    parts = urlsplit(url)._replace(query="")
    if parts.password is None:
        return urlunsplit(parts)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:***@{host}"))


def findings(client: redis.Redis) -> Findings:
    """What makes this server unfit to hold a queue. Raises redis.RedisError when it does not answer."""
    client.ping()  # connects, so that a refused greeting is not taken for a refused INFO
    try:
        info: Any = client.info()
    except redis.ResponseError:
        info = {}  # forbidden to us: what cannot be read is not judged
    found = judge(info, _config(client))
    found.unusable.extend(_without_functions(client))
    return found


def _without_functions(client: redis.Redis) -> list[str]:
    """Why the queue's transitions cannot be loaded here, if they cannot: a user without the right, a fork."""
    try:
        client.function_list(library="baton")
    except redis.ResponseError as error:
        return [
            f"Baton's functions cannot be loaded there ({error}): allow its user `+function +fcall`"
        ]
    return []


def _config(client: redis.Redis) -> dict[str, str] | None:
    """The settings that durability hangs on; None where CONFIG is forbidden, as managed servers have it."""
    names = ("appendonly", "appendfsync", "maxmemory-policy")
    found: dict[str, str] = {}
    try:
        for name in names:  # one at a time: several are understood since Redis 7.0 only
            found |= cast("dict[str, str]", client.config_get(name))
    except redis.ResponseError:
        return None
    return found


def check(client: redis.Redis, url: str, *, unsafe: bool = False) -> None:
    """Raise ServerError, with the remedy, unless the server answers and is fit to hold a queue.

    `unsafe` accepts one that may lose what it acknowledged, but none on which the queue cannot work.
    """
    shown = hide_password(url)
    try:
        found = findings(client)
    except redis.AuthenticationError as error:
        raise ServerError(
            f"Redis at {shown} refuses the password ({error}): set the right one in REDIS_URL or "
            "BATON_REDIS_PASSWORD in .env"
        ) from error
    except redis.ResponseError as error:
        raise ServerError(
            f"Redis at {shown} refuses Baton's greeting ({error}): {needed('redis')}, {needed('valkey')} or newer "
            "is needed, and a user who may call HELLO and PING"
        ) from error
    except redis.RedisError as error:
        raise ServerError(
            f"Redis at {shown} does not answer ({error}): start it, or correct REDIS_URL"
        ) from error
    if found.unusable:
        raise ServerError(f"Redis at {shown} cannot hold a queue: " + "; ".join(found.unusable))
    if found.unsafe and not unsafe:
        raise ServerError(
            f"Redis at {shown} is not safe for a queue: {'; '.join(found.unsafe)}. "
            "If losing tasks is all right here, put `redis_unsafe: allow` into baton.yaml"
        )
