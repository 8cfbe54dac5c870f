"""What the folders of a task's attempts tell: each attempt's facts, and where another machine has them."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from cli.errors import CliError
from consumers import folder as folders
from consumers import refusal
from consumers.ending import Exit, Outcome
from consumers.handle import exit_of
from consumers.outcome import conclude
from consumers.stream import Summary

if TYPE_CHECKING:
    from durable.records import Record


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt as its folder has it. Times are Unix seconds; None is not known (yet)."""

    number: int
    folder: Path
    outcome: str
    """One of the outcomes, `running`, or `unknown`: nobody has written down how it ended."""
    message: str = ""
    started_s: float | None = None
    ended_s: float | None = None
    session: str = ""
    resumes: str = ""
    """The session that it went on in; empty for one that began afresh."""
    version: str = ""
    cost_usd: float | None = None
    turns: int | None = None
    max_rss_kb: int = 0
    cpu_s: float = 0.0
    leftovers: int = 0
    survivors: int = 0
    billed: str = ""
    cwd: str = ""
    configuration: str = ""
    command: dict[str, Any] = {}
    """What command.json says; empty when it cannot be read."""


def of(var: Path, task_id: str) -> list[Path]:
    """Return the folders of a task's attempts on this machine, the first one first."""
    folder = var / "attempts" / task_id
    numbered = [p for p in folder.glob("*") if p.name.isdecimal()] if folder.is_dir() else []
    return sorted(numbered, key=lambda path: int(path.name))


def chosen(folders: list[Path], record: Record, number: int) -> Path:
    """Return the folder of the attempt of this number. Raises CliError."""
    found = [folder for folder in folders if int(folder.name) == number]
    if found:
        return found[0]
    there = ", ".join(folder.name for folder in folders) or "none"
    problem = f"Task {record.id} has no attempt {number} on this machine."
    raise CliError(problem, f"There is: {there}.")


def read(folder: Path, record: Record | None = None) -> Attempt:
    """Return what a folder tells of its attempt; `record` knows best how the latest one ended."""
    command = command_of(folder)
    summary, _ = folders.read(folder, Summary())
    ended = exit_of(folder)
    outcome, message = _outcome(folder, command, summary, ended)
    if record and _is_about(record, int(folder.name)) and _knows_more(record, outcome):
        outcome, message = record.outcome, record.reason
    known = ended or Exit()
    return Attempt(
        number=int(folder.name),
        folder=folder,
        outcome=outcome,
        message=message,
        started_s=known.started_at or begun_s(folder),
        ended_s=known.ended_at,
        session=summary.session_id or _session(command),
        resumes=resumed(command),
        version=summary.version or str(command.get("claude_version") or ""),
        cost_usd=summary.cost_usd,
        turns=summary.turns,
        max_rss_kb=known.max_rss_kb,
        cpu_s=known.cpu_s,
        leftovers=known.leftovers,
        survivors=known.survivors,
        billed=str(command.get("billed") or ""),
        cwd=str(command.get("cwd") or ""),
        configuration=str(command.get("configuration") or ""),
        command=command,
    )


def command_of(folder: Path) -> dict[str, Any]:
    """Return what command.json says; empty when there is none that can be read."""
    try:
        found = json.loads((folder / "command.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def resumed(command: dict[str, Any]) -> str:
    """Return the session that an attempt goes on in; "" for one that begins afresh."""
    return _flag(command, "--resume=")


def begun_s(folder: Path) -> float | None:
    """Return when an attempt was prepared, Unix seconds."""
    try:
        return os.stat(folder / "command.json").st_mtime
    except OSError:
        return None


def over(folder: Path) -> bool:
    """Return whether nothing more will be written into the folder by a run."""
    return (folder / "exit.json").exists()


def elsewhere(var: Path, record: Record) -> str:
    """Return the machine that the latest attempt ran on; "" for this one, and for none yet."""
    from durable import identity

    home = record.owner.rpartition(":")[0]
    if not home or home == identity.owner(var, "").rpartition(":")[0]:
        return ""
    try:
        named = json.loads(record.run).get("host")
    except (ValueError, AttributeError):  # not running: nobody remembers its name
        named = ""
    return named or home.rpartition(":")[2]


def _outcome(
    folder: Path, command: dict[str, Any], summary: Summary, ended: Exit | None
) -> tuple[str, str]:
    if ended is None:
        return ("running", "") if folders.lives(folder) else ("unknown", "")
    end = conclude(summary, ended, time.time(), str(command.get("on_denied") or "fail"))
    if end.outcome is Outcome.SUCCEEDED and (against := refusal.of(folder)):
        outcome = Outcome.CRASHED if _check_broke(folder) else Outcome.UNVERIFIED
        return outcome.value, refusal.message(against)
    words = () if end.outcome is Outcome.SUCCEEDED else (end.message, end.remedy)
    return end.outcome.value, " ".join(filter(None, words))


def _check_broke(folder: Path) -> bool:
    """Whether there is a check in the attempt's folder that never came to an answer."""
    check = folder / folders.CHECK
    ended = exit_of(check)
    return check.is_dir() and (ended is None or ended.lost_runner or ended.spawn_error is not None)


def _is_about(record: Record, number: int) -> bool:
    """Whether the record's outcome is that of this attempt."""
    return bool(record.outcome) and record.attempt == number and record.state.value != "running"


def _knows_more(record: Record, outcome: str) -> bool:
    """Whether the record has it from more than the folder; of a denial, say, the folder has the remedy, too."""
    return outcome != "running" and (outcome != record.outcome or outcome == "succeeded")


def _session(command: dict[str, Any]) -> str:
    return _flag(command, "--session-id=") or resumed(command)


def _flag(command: dict[str, Any], flag: str) -> str:
    words = command.get("argv")
    found = [str(w) for w in words if str(w).startswith(flag)] if isinstance(words, list) else []
    return found[-1].removeprefix(flag) if found else ""
