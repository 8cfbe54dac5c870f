"""Runs that have no runner any more and perhaps nobody who follows them: noted at their start, ended by anybody.

Who follows a run whose runner is killed ends what is left of it at once. This is for the case that
the follower was killed too: the task may have been given on, cancelled or held since.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from signal import SIGTERM

from consumers import folder as folders
from consumers import handle, leftovers, processes

log = logging.getLogger(__name__)


def note(folder: Path, token: int) -> None:
    """Note that the attempt in this folder, or its check, is about to run: a link in `var/live`. Raises OSError."""
    var = folders.var_of(folder)
    live = _live(var)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # a note that leads nowhere is removed
    live.mkdir(mode=0o700, exist_ok=True)
    link = live / (f"{token}-{folder.name}" if folder.name == folders.CHECK else str(token))
    link.unlink(missing_ok=True)
    link.symlink_to(".." / folder.relative_to(var))


def bury(var: Path) -> list[Path]:
    """End what is left of the runs on this host whose runner was killed; the folders of their attempts.

    A run that its runner has in hand is let be, and so is one whose runner is only about to begin.
    """
    return [folder for folder in _unfinished(var) if _has_begun(folder) and _end(folder)]


def stop(var: Path) -> list[Path]:
    """Interrupt the runs that go on without a consumer, and wait for their end; their folders.

    Only where no consumer of this host is at work.
    """
    stopped = [folder for folder in _unfinished(var) if _interrupt(folder)]
    for folder in stopped:
        if run := handle.of(folder):
            run.wait(leftovers.LADDER_S)
    return stopped


def _live(var: Path) -> Path:
    return var / "live"


def _unfinished(var: Path) -> Iterator[Path]:
    """The folders of runs that have not come to their end; the notes of the others are removed."""
    live = _live(var)
    for link in sorted(live.iterdir()) if live.is_dir() else ():
        try:
            folder = var / os.readlink(link).removeprefix("../")
        except OSError:  # another consumer was faster
            continue
        if folder.is_dir() and not (folder / "exit.json").exists():
            yield folder
        else:
            link.unlink(missing_ok=True)


def _has_begun(folder: Path) -> bool:
    """A runner takes its lock for life and then writes this file, so it can be missed no more."""
    return (folder / "runner.json").exists()


def _end(folder: Path) -> bool:
    """Whether the run had lost its runner and is over now."""
    run = handle.of(folder)
    try:
        ended = run.poll() if run else None
    except OSError as error:  # a full disk, say: the next look tries again
        log.error("%s: its runner was killed; its end cannot be written yet: %s", folder, error)
        return False
    if ended is None or not ended.lost_runner:
        return False
    log.warning("%s: its runner was killed; %d processes were ended", folder, ended.leftovers)
    return True


def _interrupt(folder: Path) -> bool:
    """SIGTERM to a live runner: down the ladder, whatever token it obeys."""
    try:
        facts = json.loads((folder / "runner.json").read_bytes())
        runner, started = int(facts["pid"]), str(facts["start_time"])
    except (OSError, ValueError, KeyError):
        return False
    return (
        facts.get("boot_id") == processes.boot_id()
        and processes.alive(runner, started)
        and processes.send(runner, SIGTERM)
    )
