"""What must happen so that PM2 runs exactly the planned apps: a pure comparison of two lists."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from cli.apps import App, stage_of
from cli.pm2 import Process


class Place(NamedTuple):
    """What makes an app in PM2 ours: the instance's name, the repository and the state folder.

    PM2 knows names only, across all folders of its user, and acts on whoever bears one.
    """

    instance: str
    root: Path
    var: Path

    def owns(self, process: Process) -> bool:
        """Whether an app of PM2 was started for this instance from this place."""
        named = stage_of(process.name, self.instance) is not None
        here = process.cwd == str(self.root) and process.env.get("BATON_VAR") == str(self.var)
        return named and here

    def clashes(self, processes: Iterable[Process]) -> list[Process]:
        """Return the apps that bear this instance's names and belong to another place."""
        return [
            process
            for process in processes
            if stage_of(process.name, self.instance) and not self.owns(process)
        ]


class Steps(NamedTuple):
    """The names of the apps to leave alone, to start, to start anew, to remove and to let drain."""

    keep: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    replace: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    drain: tuple[str, ...] = ()


def steps(
    plan: Sequence[App],
    processes: Iterable[Process],
    place: Place,
    forced: Collection[str] = (),
) -> Steps:
    """Compare the plan with what PM2 has; `forced` names apps to start anew all the same."""
    present: dict[str, list[Process]] = {}
    for process in processes:
        if place.owns(process):
            present.setdefault(process.name, []).append(process)
    wanted = {app.name for app in plan}
    keep, start, replace = [], [], []
    for app in plan:
        found = present.get(app.name, [])
        if not found:
            start.append(app.name)
        elif app.name not in forced and len(found) == 1 and _is_current(found[0], app):
            keep.append(app.name)
        else:
            replace.append(app.name)
    gone = sorted(name for name in present if name not in wanted)
    drain = [name for name in gone if _may_have_a_task(present[name], place.instance)]
    remove = [name for name in gone if name not in drain]
    return Steps(tuple(keep), tuple(start), tuple(replace), tuple(remove), tuple(drain))


def _may_have_a_task(found: list[Process], instance: str) -> bool:
    return stage_of(found[0].name, instance) == "consumers" and any(one.runs for one in found)


def _is_current(process: Process, app: App) -> bool:
    return process.runs and process.env.get("BATON_FINGERPRINT") == app.fingerprint
