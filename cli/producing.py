"""What puts tasks in on this machine, for `status`: each watcher, poller and schedule, what it is at and what was last.

The facts come from the journals, which are durable, and from the reports that watchers and pollers leave in `var`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cli import fates
from cli.apps import app_name
from cli.locks import live_holder, lock_path
from cli.terminal import age, moment, table

if TYPE_CHECKING:
    from cli.instance import Tick
    from durable.records import Told
    from durable.views import Views
    from settings import Settings

#: Schedules shown, those that fire next; ./baton schedules shows all.
_SCHEDULES = 10


def producers(settings: Settings, ticks: Sequence[Tick]) -> list[dict[str, Any]]:
    """Return what each producer of baton.yaml says of itself; `ticks` are the next ones, the soonest first."""
    watchers = [_watcher(settings, name) for name in settings.watchers]
    pollers = [_poller(settings, name) for name in settings.pollers]
    running = _running(settings, "scheduler", "")
    schedules = [_schedule(tick) | running for tick in ticks[:_SCHEDULES]]
    return [row | {"last": None} for row in (*watchers, *pollers, *schedules)]


def with_last(found: list[dict[str, Any]], views: Views) -> list[dict[str, Any]]:
    """Add the last word of each journal. Raises redis.RedisError."""
    last = views.last_told([row["source"] for row in found]) if found else {}
    return [row | {"last": _told(row["source"], last.get(row["source"]))} for row in found]


def _told(source: str, told: Told | None) -> dict[str, Any] | None:
    kind = source.partition(":")[0]
    return fates.facts(told) | {"said": fates.sentence(told, kind)} if told else None


def _watcher(settings: Settings, name: str) -> dict[str, Any]:
    told = _report(settings, f"watcher:{name}")
    keys = ("watching", "file_system", "waiting", "claimed")
    facts = {"source": f"watcher:{name}", "folder": str(settings.watchers[name].path)}
    return facts | _running(settings, "watch", name) | {key: told.get(key) for key in keys}


def _poller(settings: Settings, name: str) -> dict[str, Any]:
    told = _report(settings, f"poller:{name}")
    keys = ("polled_at", "next_at", "items", "new", "failed")
    facts = {"source": f"poller:{name}", "every_s": float(settings.pollers[name].every)}
    return facts | _running(settings, "poll", name) | {key: told.get(key) for key in keys}


def _schedule(tick: Tick) -> dict[str, Any]:
    source = f"schedule:{tick.schedule}"
    return {"source": source, "when": tick.when, "next_at": tick.at_ms / 1000}


def _report(settings: Settings, source: str) -> dict[str, Any]:
    from producers.report import file_of, read

    return read(file_of(settings.var, source))


def _running(settings: Settings, role: str, name: str) -> dict[str, Any]:
    lock = lock_path(settings.var, app_name(settings.instance, role, name))
    return {"running": live_holder(lock) is not None}


def rows(found: Sequence[Mapping[str, Any]], width: int | None = None) -> list[str]:
    """Return the producers as lines of a table; none when there is no producer."""
    if not found:
        return []
    heads = ("PRODUCER", "HOW", "NEXT", "LAST")
    cells = ((str(row["source"]), _how(row), _next(row), _last(row)) for row in found)
    return table(heads, cells, width).split("\n")


def _next(row: Mapping[str, Any]) -> str:
    return moment(int(row["next_at"] * 1000)) if row.get("next_at") and row["running"] else "-"


def _last(row: Mapping[str, Any]) -> str:
    return str(row["last"]["said"]) if row["last"] else "-"


def _how(row: Mapping[str, Any]) -> str:
    if not row["running"]:
        return "not running"
    kind = row["source"].partition(":")[0]
    return {"watcher": _watching, "poller": _polling, "schedule": _ticking}[kind](row)


def _watching(row: Mapping[str, Any]) -> str:
    words = {
        "events": "watches by events",
        "polling": f"looks every 2 s ({row['file_system'] or 'no events'})",
        "missing": "its folder is missing",
    }
    counts = [f"{row[key]} {key}" for key in ("waiting", "claimed") if row[key]]
    return ", ".join([words.get(row["watching"] or "", "starting"), *counts])


def _polling(row: Mapping[str, Any]) -> str:
    every = f"every {age(row['every_s'])}"
    if row["failed"]:
        return f"{every}, fails: {row['failed']}"
    items = "1 item" if row["items"] == 1 else f"{row['items']} items"
    return f"{every}, {items}, {row['new']} new" if row["polled_at"] else every


def _ticking(row: Mapping[str, Any]) -> str:
    return str(row["when"])
