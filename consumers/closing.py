"""Closing the gate, with one alert for each time that it closes."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from durable.records import Looks, closed_for
from durable.remedies import usual
from durable.store import LeaseStore

log = logging.getLogger(__name__)


def close(
    store: LeaseStore,
    scope: str,
    reason: str,
    *,
    by: str,
    why: str,
    until_ms: int | None = None,
    looks: Looks | None = None,
    remedy: str = "",
    about: str = "",
) -> None:
    """As LeaseStore.close_gate; whoever closes it says so in one line. Raises redis.RedisError."""
    done = store.close_gate(
        scope, reason, by=by, why=why, until_ms=until_ms, looks=looks, remedy=remedy, about=about
    )
    if done.is_new:
        log.error(
            "%s",
            sentence(scope, reason, why, done.until_ms, tries=looks is not None, remedy=remedy),
        )


def sentence(
    scope: str, reason: str, why: str, until_ms: int | None, *, tries: bool, remedy: str = ""
) -> str:
    """What a person must know of a closing: for whom, why, until when, what to do. `tries`: one task tries then."""
    until = "a person opens it"
    if until_ms is not None:
        until = f"{datetime.fromtimestamp(until_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"
        until += ", when one task tries" if tries else ""
    return f"the gate is closed for {closed_for(scope)} ({reason}) until {until}: {why} → {remedy or usual(reason)}"
