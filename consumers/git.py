"""One call of git: no terminal, no hooks, a time limit, and its own words when it says no."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

#: For what only looks or removes, s.
LOOK_S = 60.0
#: For a checkout, which may be of a large repository, s.
CHECKOUT_S = 600.0
#: The repository's hooks are code, and would run with what a consumer may do.
_ALWAYS = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "gc.auto=0")
#: Said of a full disk, and where another git holds a lock of the repository at this moment.
_PASSING = ("No space left", ".lock': File exists")
_QUIET = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}


class GitError(Exception):
    """git said no: `words` are its own; `passing` when another try may get past it (a full disk, its time limit)."""

    def __init__(self, words: str, *, passing: bool = False) -> None:
        super().__init__(words)
        self.words, self.passing = words, passing


class GitMissingError(GitError):
    """There is no git on PATH."""


def git(
    environ: Mapping[str, str],
    folder: Path,
    *words: str,
    timeout_s: float = LOOK_S,
    keep: tuple[int, ...] = (),
) -> str:
    """Run `git -C folder …`; its output. Raises GitError.

    `keep` are descriptors that it keeps open: a lock is then held for as long as git works, even when this
    process is killed.
    """
    try:
        process = subprocess.Popen(
            ["git", *_ALWAYS, "-C", str(folder), *words],
            env={**environ, **_QUIET},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # no terminal to ask at
            pass_fds=keep,
        )
    except FileNotFoundError as error:
        raise GitMissingError("there is no git on PATH") from error
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise GitError(f"git {words[0]} took more than {timeout_s:.0f} s", passing=True) from error
    if process.returncode != 0:
        said = " ".join(err.decode("utf-8", "replace").split())
        raise GitError(
            said.removeprefix("fatal: ") or f"git {words[0]}: exit status {process.returncode}",
            passing=process.returncode < 0 or any(words in said for words in _PASSING),
        )
    return out.decode("utf-8", "surrogateescape")
