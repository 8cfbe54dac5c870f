"""Redis: reachable, durable, not evicting; its clock, whose data it holds, and what closes the gate."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cli import gate, problems
from cli.examinations.findings import Finding

if TYPE_CHECKING:
    from durable.store import LeaseStore
    from settings import Settings

#: A clock further from the server's than this makes logs and schedules disagree, s.
_LOOK_S, _BAD_S = 1.0, 30.0
#: Parts that have a journal.
_ENTRIES = ("watcher", "poller", "schedule")


def examine(settings: Settings) -> Iterator[Finding]:
    """Findings on the server and on the queue in it."""
    from redis import RedisError

    from durable.connect import connect, hide_password
    from durable.store import LeaseStore

    shown = hide_password(settings.redis.url)
    store = LeaseStore(connect(settings.redis.url, retries=0), f"{{{settings.instance}}}:")
    try:
        yield from _fit(settings, store, shown)
        yield from _data(settings, store, shown)
    except RedisError as error:
        remedy = "./baton up starts it, or correct REDIS_URL in .env"
        yield Finding("bad", "Redis", f"{shown} does not answer: {error}", remedy)


def _fit(settings: Settings, store: LeaseStore, shown: str) -> Iterator[Finding]:
    from durable.connect import findings

    found = findings(store.client)
    for words in found.unusable:
        yield Finding("bad", "Redis", words, "name another server in REDIS_URL")
    for words in found.unsafe:
        verdict = "warn" if settings.redis.unsafe else "bad"
        yield Finding(verdict, "Redis", words, "or `redis_unsafe: allow` in baton.yaml")
    if not (found.unusable or found.unsafe):
        words = f"{shown} answers, writes before it acknowledges, evicts nothing"
        yield Finding("ok", "Redis", words)
    before = time.time()
    yield clock(store.now_ms() / 1000 - before)


def _standing(settings: Settings, store: LeaseStore) -> Iterator[Finding]:
    """What stands in the way of parts on any machine; the apps of this one are looked at by themselves."""
    now_ms = store.now_ms()
    for problem in problems.standing(store):
        kind, _, name = problem.subject.partition(":")
        if kind == "app" and problem.host == settings.host:
            continue
        mild = kind == "schedule" or problem.is_stale(now_ms)
        remedy = f"./baton why {name}" if kind in _ENTRIES else "./baton status; ./baton logs"
        words = problems.words(problem, now_ms)
        yield Finding("warn" if mild else "bad", problem.subject, words, remedy)


def _data(settings: Settings, store: LeaseStore, shown: str) -> Iterator[Finding]:
    from durable import dataset
    from durable.errors import ServerError

    try:
        dataset.check(store, settings.var, shown)
    except ServerError as error:
        yield Finding("bad", "data", str(error), "the sentence above says what to do")
        return
    newer = store.from_newer()
    if newer.tasks:
        words = f"tasks made by a newer Baton (version {newer.version}): {newer.tasks}"
        yield Finding("warn", "data", words, "upgrade this machine, or start newer consumers")
    yield from _standing(settings, store)
    for entry in store.gate():
        words = gate.sentence(entry).partition("\n")[0]
        yield Finding("warn", "gate", words, gate.remedy(entry))


def clock(ahead_s: float) -> Finding:
    """By how much the server's clock is ahead of this machine's."""
    if abs(ahead_s) <= _LOOK_S:
        return Finding("ok", "clock", "Redis's and this machine's agree")
    words = f"Redis's clock is {abs(ahead_s):.1f} s {'ahead' if ahead_s > 0 else 'behind'}"
    verdict = "bad" if abs(ahead_s) > _BAD_S else "warn"
    return Finding(verdict, "clock", words, "let both machines set their clocks (NTP)")
