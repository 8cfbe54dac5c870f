"""The folder of its own that a task works in: made before its first attempt, the same for all of them.

It is noted before it is made, so that whatever is killed, the next attempt mends it and the caretaker removes it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from consumers import claude
from consumers import workspace_notes as notes
from consumers.git import GitError, GitMissingError
from consumers.run import remove_tree
from consumers.worktree import BRANCHES, State, Worktree, origin
from durable.records import Lease
from durable.verdicts import Fail, GiveBack

if TYPE_CHECKING:
    from settings import ClaudeOptions, Settings

#: Before the next try, where a disk was full or git took too long, s.
_AGAIN_S = 30.0
_GONE = ".gone-"


class Left(msgspec.Struct, frozen=True):
    """What of a workspace stays when its task ends now; empty where nothing does."""

    path: str = ""
    branch: str = ""

    @property
    def words(self) -> str:
        """The same for a person."""
        places = ["in " + self.path] if self.path else []
        places += ["on branch " + self.branch] if self.branch else []
        return f"its work is {' '.join(places)}" if places else ""


def folder_of(settings: Settings, lease: Lease, options: ClaudeOptions) -> Path:
    """The folder that an attempt works in; it exists. Raises Fail and GiveBack, which say why not."""
    cwd = settings.base / (Path(options.cwd).expanduser() if options.cwd else Path())
    space = notes.find(settings.var, lease.id)
    if options.workspace != "fresh" and space is None and not cwd.is_dir():
        raise Fail("rejected", f"the working folder {cwd} does not exist", "correct `cwd`")
    if options.workspace == "none" and space is None:
        return cwd
    try:
        return _folder(settings, lease, options, cwd, space)
    except GitMissingError as error:
        remedy = "install git, or choose another `workspace`"
        raise Fail("rejected", str(error), remedy) from error
    except GitError as error:
        if error.passing:
            raise GiveBack("interrupted", f"its worktree: {error}", delay=_AGAIN_S) from error
        remedy = "`workspace: worktree` needs a git repository with a commit at `cwd`"
        raise Fail("rejected", f"git cannot make a worktree of {cwd}: {error}", remedy) from error
    except OSError as error:
        message = f"its workspace could not be made: {error.strerror or error}"
        raise GiveBack("interrupted", message, delay=_AGAIN_S) from error


def left(settings: Settings, task_id: str, *, succeeded: bool) -> Left | None:
    """What stays of a task's workspace when it ends now; None when it has none."""
    space = notes.find(settings.var, task_id)
    if space is None:
        return None
    try:
        state = _state(settings, space)
    except (GitError, OSError):
        return Left(str(space.path), space.branch)
    if keeps(space, state, succeeded=succeeded):
        return Left(str(space.path), space.branch)
    return Left(branch=space.branch if state.commits else "")


def keeps(space: notes.Workspace, state: State, *, succeeded: bool, outlived: bool = False) -> bool:
    """Whether a workspace stays when its task is final, or when its record has been removed (`outlived`). Pure.

    No rule gives up what a worktree would lose.
    """
    if state.work and space.kind == "worktree":
        return True
    if outlived:
        return False
    if space.keep == "work":
        return bool(state.work)
    return space.keep == "always" or (space.keep == "failed" and not succeeded)


def finish(
    settings: Settings,
    task_id: str,
    still: Callable[[], bool],
    *,
    succeeded: bool,
    outlived: bool = False,
) -> None:
    """Remove the workspace of a task that is final, or note that it is kept.

    `still` tells, when nobody else can use the workspace, whether the task is final. Raises OSError and what
    `still` raises.
    """
    space = notes.find(settings.var, task_id)
    if space is None:
        return
    if not _ours(settings, space, task_id):
        notes.park(settings.var, space, f"it does not lie in {settings.workspaces}")
        return
    if os.path.lexists(_gone(space)):  # whoever removed it was killed, or is still at it
        remove_tree(str(_gone(space)))
    lockable = space.repository if space.kind == "worktree" else space.path.parent
    if not lockable.is_dir():  # the repository is gone, or is on a disk that is not there
        notes.park(settings.var, space, "its repository is not there")
        return
    with _locked(lockable, wait=False) as lock:
        if lock is None or not still():
            return
        try:
            state = _state(settings, space)
            if keeps(space, state, succeeded=succeeded, outlived=outlived):
                notes.park(settings.var, space, state.work or f"keep_workspace is {space.keep}")
                return
            _take_away(settings, space)
        except GitError as error:
            notes.park(settings.var, space, str(error))
            return
    _forget(settings.var, space)


def _folder(
    settings: Settings,
    lease: Lease,
    options: ClaudeOptions,
    cwd: Path,
    space: notes.Workspace | None,
) -> Path:
    if space is None:
        space = _new(settings, lease, options, cwd)
    root = space.path.parent
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    lockable = space.repository if space.kind == "worktree" else root
    with _locked(lockable) as lock:
        assert lock is not None
        notes.write(settings.var, space)  # one that was kept is in use again
        if space.kind == "worktree":
            return _worktree(settings, lease, space, lock)
        space.path.mkdir(mode=0o700, exist_ok=True)
        return space.path


def _new(settings: Settings, lease: Lease, options: ClaudeOptions, cwd: Path) -> notes.Workspace:
    path = settings.workspaces / lease.id
    space = notes.Workspace(
        task=lease.id, kind=options.workspace, path=path, keep=options.keep_workspace
    )
    if space.kind == "fresh":
        return space
    found = origin(cwd, _environ(settings, lease))
    return msgspec.structs.replace(
        space, repository=found.repository, inside=found.inside, branch=BRANCHES + lease.id
    )


def _worktree(settings: Settings, lease: Lease, space: notes.Workspace, lock: int) -> Path:
    tree = Worktree(space.repository, space.path, space.branch, _environ(settings, lease))
    if not space.made or not space.path.exists():
        base = tree.add(lock)
        notes.write(settings.var, msgspec.structs.replace(space, base=base, made=True))
    elif not (space.path / ".git").exists():
        lost = f"{space.path} has lost its .git"
        raise Fail("rejected", lost, "look at what is in it, then remove it")
    folder = space.path / space.inside
    if not folder.is_dir():
        raise Fail(
            "rejected", f"the commit has no folder {space.inside}", "commit it, or correct `cwd`"
        )
    return folder


def _state(settings: Settings, space: notes.Workspace) -> State:
    if space.kind == "worktree":
        return _tree(settings, space).state(space.base)
    try:
        with os.scandir(space.path) as entries:
            return State("files" if any(entries) else "", commits=False)
    except FileNotFoundError:
        return State("", commits=False)


def _take_away(settings: Settings, space: notes.Workspace) -> None:
    if space.kind == "worktree":
        _tree(settings, space).remove(space.base)
    elif os.path.lexists(space.path):  # quickly: a new attempt may wait for the lock
        space.path.rename(_gone(space))


def _forget(var: Path, space: notes.Workspace) -> None:
    """Outside of the lock: a large folder takes long, and another attempt may have begun since."""
    if os.path.lexists(_gone(space)):
        remove_tree(str(_gone(space)))
    if not os.path.lexists(space.path):
        notes.drop(var, space.task)


def _gone(space: notes.Workspace) -> Path:
    return space.path.with_name(_GONE + space.task)


def _tree(settings: Settings, space: notes.Workspace) -> Worktree:
    return Worktree(space.repository, space.path, space.branch, _environ(settings))


def _environ(settings: Settings, lease: Lease | None = None) -> dict[str, str]:
    """An attempt's, with its mark, by which a git is found that outlived its consumer."""
    marker = f"{lease.id}/{lease.attempt}" if lease else ""
    return claude.environment(settings.environ, (), tempfile.gettempdir(), marker)


def _ours(settings: Settings, space: notes.Workspace, task_id: str) -> bool:
    """Nothing but a folder of this name, directly in the workspaces' own, is ever removed."""
    return space.task == task_id and space.path == settings.workspaces / task_id


@contextmanager
def _locked(folder: Path, *, wait: bool = True) -> Iterator[int | None]:
    """The descriptor of a lock on a folder, which needs no file in it; None when another has it and `wait` is false."""
    lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN):
            raise
        yield None
        return
    try:
        yield lock
    finally:
        os.close(lock)
