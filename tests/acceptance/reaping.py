"""Runs of the real claude whose tool has started one child of every kind, and who of them outlives the end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from durable.records import Record
from tests.acceptance.claude_site import ClaudeSite, bash, say, script
from tests.acceptance.zoo import KINDS
from tests.conftest import wait_until

ZOO = Path(__file__).with_name("zoo.py")
ALONE = ("plain", "deaf", "stopped", "closed")
"""Kinds without a session of their own: their pid is all there is."""


class Run:
    """One task of the matrix: its zoo, the end that it is given, and what was seen then."""

    def __init__(self, site: ClaudeSite, end: str, folder: Path, task_id: str) -> None:
        self.site, self.end, self.folder, self.task_id = site, end, folder, task_id
        self.acted_at = 0.0
        self.seconds = 0.0
        self.survivors: dict[str, list[int]] = {}

    @property
    def ready(self) -> bool:
        """Whether all of the zoo runs."""
        return (self.folder / "ready").exists()

    @property
    def over(self) -> bool:
        """Whether the attempt says that nothing of it is left."""
        return (self.attempt / "exit.json").exists()

    @property
    def attempt(self) -> Path:
        """The folder of its first attempt."""
        return self.site.attempt(self.task_id)

    @property
    def consumer(self) -> str:
        """The app that has it in hand."""
        record = self.site.store.record(self.task_id)
        assert record is not None
        return record.owner.rpartition(":")[2]

    @property
    def runner(self) -> int:
        """Its runner's pid."""
        return int(json.loads((self.attempt / "runner.json").read_text())["pid"])

    @property
    def claude(self) -> int:
        """The pid of claude."""
        return int(Path(f"/proc/{self.runner}/task/{self.runner}/children").read_text().split()[0])

    def go(self) -> None:
        """Let the tool come to its end."""
        (self.folder / "go").touch()

    def storm(self) -> None:
        """Let the storm begin."""
        (self.folder / "storm").touch()

    def act(self, end: Callable[[Run], object]) -> None:
        """Give it its end."""
        self.acted_at = time.monotonic()
        end(self)

    def look(self) -> None:
        """Count who is left, at the moment when the attempt says that nobody is."""
        self.seconds = time.monotonic() - self.acted_at
        self.survivors = {kind: left for kind in KINDS if (left := self._left(kind))}

    def finish(self) -> Record:
        """The record in its final state."""
        return self.site.finish(self.task_id)

    def traces(self) -> list[str]:
        """What of its files is left outside of its folder, a moment after its end."""
        command = json.loads((self.attempt / "command.json").read_text())
        paths, until = (command["tmpdir"], command["socket"]), time.monotonic() + 5
        while (left := [path for path in paths if os.path.lexists(path)]) and (
            time.monotonic() < until
        ):
            time.sleep(0.05)
        return left

    def kill(self) -> None:
        """End the zoo itself, whatever became of it."""
        for kind in KINDS:
            for pid in self._left(kind):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _left(self, kind: str) -> list[int]:
        try:
            pid, session = map(int, (self.folder / kind).read_text().split())
        except FileNotFoundError:
            return []
        if kind in ALONE:
            return [pid] if session_of(pid) == session else []
        return [entry for entry in pids() if session_of(entry) == session]


def submit(site: ClaudeSite, ends: dict[str, dict[str, Any]]) -> list[Run]:
    """A task for each end, with these options; its working folder is named after it."""
    folders = [site.folder / end.replace(" ", "-").replace(",", "") for end in ends]
    calls = []
    for folder, options in zip(folders, ends.values(), strict=True):
        folder.mkdir()
        command = f"{sys.executable} -IS {ZOO} {folder}"
        calls.append((script(bash(command), say("all done")), {"cwd": str(folder)} | options))
    code = f"from tasks import claude\nfor p, o in {calls!r}: print(claude(p, **o).id)"
    ids = site.python(code).split()
    rows = zip(ends, folders, ids, strict=True)
    return [Run(site, end, folder, task_id) for end, folder, task_id in rows]


def pids() -> list[int]:
    """Every process of the machine."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def session_of(pid: int) -> int:
    """The session of a live process; 0 when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if fields[0] in "ZX" else int(fields[3])


def end_each(runs: list[Run], ends: Mapping[str, Callable[[Run], object]]) -> None:
    """Give every run its end as soon as its zoo is there, and look when it is over."""
    waiting = list(runs)

    def step() -> bool:
        for run in list(waiting):
            if run.ready and not run.acted_at:
                run.act(ends[run.end])
            elif run.acted_at and run.over:
                run.look()
                waiting.remove(run)
        return not waiting

    wait_until(step, 100, f"all of {[run.end for run in waiting]} are over")
