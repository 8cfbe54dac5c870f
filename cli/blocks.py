"""The attempts of a task as `./baton show` prints them: one block each, and the line that runs one again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from cli import by_hand
from cli.attempts import Attempt
from cli.billing import payer
from cli.progress import counted
from cli.terminal import age, moment, paint, printable, size, state


def block(found: Attempt, spent: str) -> Iterator[str]:
    """Return the lines about an attempt; `spent` is its cost in words, "" when that is not known."""
    yield f"\n{paint(f'attempt {found.number}', 'bold')}  {state(found.outcome)}"
    for label, text in _facts(found, spent):
        if text:
            yield f"  {label:<10} {printable(text)}"


def by_hand_lines(found: Attempt) -> Iterator[str]:
    """Return how to run an attempt again without Baton, and how to look around in its session."""
    line = run_again(found)
    if line and not Path(found.cwd).is_dir():
        yield f"\n{paint(f'It cannot be run again by hand as it was: {printable(found.cwd)} is gone.', 'dim')}"
    elif line:
        words = f"attempt {found.number} again by hand, in a session of its own"
        yield f"\n{paint(words, 'dim')}\n{printable(line)}"
        if found.session and found.ended_s:  # two may not go on in one session at a time
            line = by_hand.go_on(found.command, found.session)
            yield f"\n{paint('its session, to look around and go on', 'dim')}\n{printable(line)}"


def run_again(found: Attempt) -> str:
    """Return the line that runs it again; "" when its command.json does not say how."""
    try:
        return by_hand.run_again(found.command, found.folder)
    except (KeyError, TypeError, ValueError, IndexError):
        return ""


def facts(found: Attempt) -> dict[str, Any]:
    """Return an attempt for `--json`."""
    plain: dict[str, Any] = msgspec.to_builtins(found, enc_hook=str)
    return plain | {"run_again": run_again(found)}


def _facts(found: Attempt, spent: str) -> Iterator[tuple[str, str]]:
    yield "why", found.message
    yield "when", _when(found)
    yield "cost", spent
    yield "used", ", ".join(_used(found))
    yield "killed", ", ".join(_killed(found))
    yield "billed to", payer(found.billed) if found.command else ""
    yield "claude", found.version and f"{found.version}, configuration {found.configuration or '?'}"
    yield "session", found.session + (" (resumed)" if found.resumes else "")
    yield "cwd", found.cwd + ("" if not found.cwd or Path(found.cwd).is_dir() else " (gone)")
    yield "folder", str(found.folder)


def _when(found: Attempt) -> str:
    if not found.started_s:
        return ""
    begun = moment(int(found.started_s * 1000))
    if not found.ended_s:
        return f"{begun}, not ended" if found.outcome == "running" else begun
    ended, seconds = moment(int(found.ended_s * 1000)), found.ended_s - found.started_s
    return f"{begun} to {ended}, {f'{seconds:.1f}s' if seconds < 60 else age(seconds)}"


def _used(found: Attempt) -> Iterator[str]:
    if found.turns is not None:
        yield counted(found.turns, "turn")
    if found.ended_s and found.max_rss_kb:
        yield f"{size(found.max_rss_kb * 1024)} of memory"
        yield f"{found.cpu_s:.1f} s of CPU"


def _killed(found: Attempt) -> Iterator[str]:
    if found.leftovers:
        yield f"processes that it left running: {found.leftovers}"
    if found.survivors:
        yield f"not to be ended even by SIGKILL: {found.survivors}"
