"""A git worktree for one task, on its own branch: made, mended, looked at and removed, but never with work in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from consumers.git import CHECKOUT_S, GitError, git
from consumers.run import remove_tree

BRANCHES = "baton/"
"""Before a task's id, in the names of branches."""


class Origin(NamedTuple):
    """What a folder says of its repository."""

    repository: Path
    """Its common directory, which all worktrees share."""
    inside: str
    """Where the folder lies in the working tree; empty at its top."""


class State(NamedTuple):
    """What would be lost or left if a worktree were removed now."""

    work: str
    """Why it may not be removed; empty when nothing in it would be lost."""
    commits: bool
    """Its branch has commits of its own."""


class Worktree(NamedTuple):
    """Where one is to be; `environ` is what git may see."""

    repository: Path
    path: Path
    branch: str
    environ: Mapping[str, str]

    def add(self, lock: int) -> str:
        """Make it, on its branch where there is one already; the commit that the branch began at.

        What a killed try left at the path is removed first. `lock` is the descriptor of a lock that git keeps
        while it works. Raises GitError.
        """
        self._clear()
        if self._exists():
            base = self._git("merge-base", "HEAD", self.branch)
            self._git("worktree", "add", str(self.path), self.branch, lock=lock)
        else:
            base = self._git("rev-parse", "--verify", "HEAD^{commit}")
            self._git("worktree", "add", "-b", self.branch, str(self.path), base, lock=lock)
        return base

    def state(self, base: str) -> State:
        """What stands in it. Raises GitError."""
        if not self.path.exists():
            return State("", self._commits(base))
        changed = self._git("status", "--porcelain", "--untracked-files=normal", here=True)
        refs = ("refs/heads", "refs/tags", "refs/remotes")
        held = self._git("for-each-ref", "--count=1", "--contains", "HEAD", *refs, here=True)
        work = "changes that are not committed" if changed else ""
        if not held:
            work = work or "commits that are on no branch"
        return State(work, self._commits(base))

    def remove(self, base: str) -> None:
        """Remove it, and its branch when that has no commit of its own. Raises GitError where git sees work in it."""
        if self.path.exists():
            self._git("worktree", "remove", str(self.path))
        else:  # by somebody's hand
            self._forget()
        if self._exists() and not self._commits(base):
            self._git("update-ref", "-d", f"refs/heads/{self.branch}", base)

    def _clear(self) -> None:
        """Only for a worktree that was never finished: there is no work in it."""
        if os.path.lexists(self.path):
            remove_tree(str(self.path))
        # What a killed git leaves; nobody else has a branch of this name to lock.
        (self.repository / "refs" / "heads" / f"{self.branch}.lock").unlink(missing_ok=True)
        self._forget()

    def _forget(self) -> None:
        """Twice --force: one that was being made is locked. Not `prune`, which forgets the worktrees of others."""
        try:
            self._git("worktree", "remove", "--force", "--force", str(self.path))
        except GitError as error:
            if "is not a working tree" not in error.words:
                raise

    def _exists(self) -> bool:
        return bool(self._git("for-each-ref", f"refs/heads/{self.branch}"))

    def _commits(self, base: str) -> bool:
        tip = self._git("for-each-ref", "--format=%(objectname)", f"refs/heads/{self.branch}")
        return tip not in ("", base)

    def _git(self, *words: str, here: bool = False, lock: int | None = None) -> str:
        keep, timeout_s = ((), 60.0) if lock is None else ((lock,), CHECKOUT_S)
        folder = self.path if here else self.repository
        return git(self.environ, folder, *words, timeout_s=timeout_s, keep=keep).strip()


def origin(folder: Path, environ: Mapping[str, str]) -> Origin:
    """The repository that a folder lies in. Raises GitError."""
    common, _, inside = git(
        environ, folder, "rev-parse", "--git-common-dir", "--show-prefix"
    ).partition("\n")
    return Origin((folder / common).resolve(), inside.strip("\n/"))
