"""The command line that runs an attempt again by hand: its folder, environment and words, without Baton; pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from consumers.claude import ALWAYS

# What the attempt had of Baton itself. BATON_ATTEMPT is left out: whoever carries it is swept away with the task.
_OURS = {"DISABLE_AUTOUPDATER": "1", "TMPDIR": '"$t"'}


def run_again(command: Mapping[str, Any], folder: Path) -> str:
    """Return a line for any POSIX shell that does what the attempt did, in a session of its own.

    `command` is the content of command.json. Values of the environment are the caller's: secrets are in no
    file, so a variable that `env:` named must be set where the line is run, or it stops and says which.
    The session id cannot be used twice, so a first attempt gets a new one, and one that went on in a
    session goes on in a copy of it.
    """
    words = " ".join(map(shlex.quote, _argv(command["argv"])))
    steps = (
        f"cd {shlex.quote(str(command['cwd']))}",
        f"umask {command['umask']:03o}",
        "t=$(mktemp -d)",
        "trap 'rm -rf \"$t\"' EXIT",
        f"env -i {' '.join(_environment(command['env']))} {words} < {shlex.quote(str(folder / 'prompt.md'))}",
    )
    return f"({' && '.join(steps)})"


def go_on(command: Mapping[str, Any], session: str) -> str:
    """Return the line that opens the attempt's session for a person, to look around and go on."""
    cwd, claude = shlex.quote(str(command["cwd"])), shlex.quote(command["argv"][0])
    return f"(cd {cwd} && {claude} --resume {shlex.quote(session)})"


def _argv(argv: Sequence[str]) -> Iterator[str]:
    for word in argv:
        if word.startswith("--session-id="):
            continue
        yield word
        if word.startswith("--resume="):
            yield "--fork-session"


def _environment(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        if name in _OURS:
            yield f"{name}={_OURS[name]}"
        elif name in ALWAYS or name.startswith("LC_"):
            yield f'{name}="${name}"'
        else:
            yield f'{name}="${{{name}:?}}"'
