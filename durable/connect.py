"""A Redis client with limits on how long it waits, and the checks that make a server fit to hold a queue."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from durable.errors import ServerError

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


def problems(client: redis.Redis) -> list[str]:
    """What makes this server unfit to hold a queue, each with its remedy; empty when it is fit.

    Raises redis.RedisError when the server is away.
    """
    config: Any = client.config_get("appendonly", "appendfsync", "maxmemory-policy")
    info: Any = client.info("replication")
    found = []
    if config.get("appendonly") != "yes":
        found.append("append-only file is off, so a crash loses tasks: set `appendonly yes`")
    elif config.get("appendfsync") != "always":
        found.append(
            f"it writes to disk {config.get('appendfsync')}, so a power cut loses what it had "
            "acknowledged: set `appendfsync always`"
        )
    if config.get("maxmemory-policy", "noeviction") != "noeviction":
        found.append(
            f"it may evict tasks ({config['maxmemory-policy']}): set `maxmemory-policy noeviction`"
        )
    if info.get("role") == "slave":
        found.append("it is a read-only replica: name the primary in REDIS_URL")
    return found


def check(client: redis.Redis, url: str, *, unsafe: bool = False) -> None:
    """Raise ServerError, with the remedy, unless the server answers and is fit to hold a queue.

    `unsafe` accepts one that answers but may lose what it acknowledged.
    """
    shown = hide_password(url)
    try:
        found = problems(client)
    except redis.AuthenticationError as error:
        raise ServerError(
            f"Redis at {shown} refuses the password: set REDIS_URL in .env"
        ) from error
    except redis.ResponseError:
        return  # CONFIG is forbidden to us: what cannot be read is not judged
    except redis.RedisError as error:
        raise ServerError(
            f"Redis at {shown} does not answer ({error}): start it, or correct REDIS_URL"
        ) from error
    if found and not unsafe:
        raise ServerError(f"Redis at {shown} is not safe for a queue: " + "; ".join(found))
