"""The standing problems of producers and apps in words: one line each, for `status`."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from cli.apps import app_name, roles, sends_alerts
from cli.terminal import ago, moment, paint, printable

if TYPE_CHECKING:
    from durable.standing import Problem
    from durable.views import Views
    from settings import Settings


def standing(store: Views) -> list[Problem]:
    """Return all that stand, the oldest first. Raises redis.RedisError."""
    from durable.standing import Standing

    return Standing(store.client, store.prefix).standing()


def lines(store: Views) -> list[str]:
    """Return all that stand, one line each. Raises redis.RedisError."""
    now_ms = store.now_ms()
    return [sentence(problem, now_ms) for problem in standing(store)]


def sentence(problem: Problem, now_ms: int) -> str:
    """Return what stands in whose way, where, and since when."""
    return f"{paint(printable(problem.subject), 'red')} {words(problem, now_ms)}"


def words(problem: Problem, now_ms: int) -> str:
    """Return where it stands, what, and since when."""
    about = f"on {printable(problem.host)}: {printable(problem.text)}"
    line = f"{about} (since {moment(problem.since_ms)})"
    if problem.is_stale(now_ms):
        quiet = ago(problem.seen_ms, now_ms)
        line += f"; not heard of for {quiet}: its process may be down"
    return line


def facts(problem: Problem, now_ms: int) -> dict[str, Any]:
    """Return a problem for `--json`."""
    fields = {name: getattr(problem, name) for name in problem.__struct_fields__}
    return fields | {"stale": problem.is_stale(now_ms)}


def forget_gone(settings: Settings) -> None:
    """Remove what this host told of entries and apps that baton.yaml names no more.

    An alerts app looks after what is told of apps and disks; where there is none, nobody would ever clear it.
    """
    from redis import RedisError

    from durable.connect import connect
    from durable.problems import Problems

    subjects = {f"watcher:{name}" for name in settings.watchers}
    subjects |= {f"poller:{name}" for name in settings.pollers}
    kinds = ["watcher", "poller", "app"]
    if sends_alerts(settings):
        named = (app_name(settings.instance, *role) for role in roles(settings))
        subjects |= {f"app:{name}" for name in named}
    else:
        kinds += ["disk", "alerts"]
    with contextlib.suppress(RedisError):  # `up` has said already that it does not answer
        client = connect(settings.redis.url, retries=0)
        told = Problems(client, f"{{{settings.instance}}}:", host=settings.host)
        told.keep(kinds, subjects)
