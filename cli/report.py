"""What `up` says at its end: one table of the apps, what failed, and what to do next."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import gate, problems, queue
from cli.apps import App
from cli.converge import Steps
from cli.locks import live_holder, lock_path
from cli.missing import notices
from cli.pm2 import Process
from cli.readiness import Failure, is_ready, problem_of
from cli.terminal import age, cut, paint, print_json, printable, size, table, wrapped
from consumers.draining import Mark

if TYPE_CHECKING:
    from durable.records import GateEntry
    from settings import Settings

OUTSIDE = "outside PM2"
# States of an app that ask for no reason.
_FINE = {"ready", "draining", "drained", "not started", OUTSIDE}


def print_up(
    settings: Settings,
    plan: Sequence[App],
    processes: Sequence[Process],
    done: Steps,
    failures: Sequence[Failure],
    *,
    as_json: bool,
) -> None:
    """Print what was done and what the apps are like now."""
    rows = app_facts(settings.var, [app.name for app in plan], processes)
    entries = [] if failures else _gate_entries(settings)
    missing = notices(settings)
    if as_json:
        facts: dict[str, Any] = {"apps": rows, "steps": done._asdict()}
        facts["failures"] = [failure._asdict() for failure in failures]
        facts["gate"] = [gate.facts(entry) for entry in entries]
        facts["missing"] = [notice._asdict() for notice in missing]
        print_json(facts)
        return
    print(app_table(rows))
    print("\nNot everything came up." if failures else f"\n{_summary(done)}")
    for failure in failures:
        print_failure(failure)
    for text in (
        *map(_drain, done.drain),
        *settings.warnings,
        *(f"{n.problem}\n    → {n.remedy}" for n in missing),
        *map(gate.sentence, entries),
        *([] if failures else problems.lines(queue.store())),
    ):
        print(wrapped(paint("! ", "yellow") + text, "  "))
    if not failures:
        print(wrapped(_next(settings)))


def _summary(done: Steps) -> str:
    """Return in one sentence what `up` did."""
    parts = [
        f"{len(names)} {word}"
        for names, word in (
            (done.start, "started"),
            (done.replace, "restarted"),
            (done.remove, "removed"),
            (done.keep, "left alone"),
            (done.drain, "draining"),
        )
        if names
    ]
    return f"{', '.join(parts).capitalize()}."


def _drain(name: str) -> str:
    return f"{name} is no longer in baton.yaml; it finishes the task that it has, claims no other, and goes."


def print_failure(failure: Failure) -> None:
    """Print why an app is not ready, with the end of its log."""
    print(wrapped(f"\n{paint(failure.name, 'red')}: {failure.problem}", "  "))
    for line in failure.lines or ("(its log is empty)",):
        print(f"  {printable(line)}")


def _gate_entries(settings: Settings) -> list[GateEntry]:
    return queue.store().gate()


def _next(settings: Settings) -> str:
    for watcher in settings.watchers.values():
        return f"\nNext: drop a file into {watcher.path}, then ./baton status"
    return '\nNext: ./baton add "what Claude is to do", then ./baton status'


def app_facts(
    var: Path, planned: Sequence[str], processes: Sequence[Process]
) -> list[dict[str, Any]]:
    """Return what each planned app is like, and those that run although nobody planned them."""
    known = {process.name: process for process in processes}
    names = [*planned, *sorted(set(known) - set(planned))]
    return [_app_facts(var, name, known.get(name)) for name in names]


def _app_facts(var: Path, name: str, process: Process | None) -> dict[str, Any]:
    outside = _outside(var, name, process)
    state = OUTSIDE if outside else _state(var, name, process)
    return {
        "name": name,
        "state": state,
        "reason": "" if state in _FINE else _reason(var, name, process),
        "pid": process.pid if process and process.runs else outside,
        "memory_bytes": process.memory_bytes if process and process.runs else 0,
        "started_ms": process.started_ms if process and process.runs else 0,
        "restarts": process.restarts if process else 0,
    }


def _outside(var: Path, name: str, process: Process | None) -> int:
    """The pid of an app that works on without this PM2, whose daemon was killed or lives in another PM2_HOME; or 0."""
    if process and process.pid:
        return 0
    held = live_holder(lock_path(var, name))
    return held.pid if held else 0


def _reason(var: Path, name: str, process: Process | None) -> str:
    """Why an app does not work, in its own words since it was last started; "" where PM2 never started it."""
    if process is None:
        return ""
    from cli.applogs import last_complaint  # who works has none

    return last_complaint(var / "logs" / f"{name}.log", process.started_ms)


def _state(var: Path, name: str, process: Process | None) -> str:
    if process and process.runs and Mark(var, name).is_asked():
        return "draining"
    return "ready" if is_ready(process, var) else problem_of(process) or "starting"


def reasons(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return a line for each app that does not work and has said why."""
    return [
        f"{row['name']}: {printable(cut(row['reason'], 300).rstrip())}"
        for row in rows
        if row["reason"]
    ]


def app_table(rows: Sequence[dict[str, Any]], width: int | None = None) -> str:
    """Return the apps, one a line."""
    now = time.time()
    return table(
        ("APP", "STATE", "PID", "MEMORY", "SINCE", "RESTARTS"),
        (
            (
                row["name"],
                row["state"],
                str(row["pid"] or "-"),
                size(row["memory_bytes"]),
                age(now - row["started_ms"] / 1000) if row["started_ms"] else "-",
                str(row["restarts"]),
            )
            for row in rows
        ),
        width,
    )
