"""A folder of its own for a task: made once, mended after a kill, and removed only when nothing is lost."""

import json
import os
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest

from consumers import leftovers, workspaces
from consumers import workspace_notes as notes
from consumers.caretaker import Caretaker
from consumers.git import GitError
from consumers.git import git as run_git
from consumers.worktree import State as Standing
from durable.queue import BatonHuey
from durable.records import Lease, State, Submission
from durable.verdicts import Fail, GiveBack
from settings import ClaudeOptions, Settings
from tests.conftest import ROOT, wait_until
from tests.unit.test_earlier_attempt import lease
from tests.unit.test_housekeeper import settings_in

FRESH = ClaudeOptions(workspace="fresh")


def git(folder: Path, *words: str) -> str:
    home = {"HOME": str(folder), "PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1"}
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main")
    return subprocess.run(
        ["git", *who, *words], cwd=folder, env=home, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def given(tmp_path: Path) -> Settings:
    places = {"base": tmp_path, "workspaces": tmp_path / "own"}
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    return settings_in(tmp_path, environ=environ, **places)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    found = tmp_path / "repository"
    (found / "inside").mkdir(parents=True)
    (found / "inside" / "file").write_text("one\n")
    git(found, "init", "-q")
    git(found, "add", ".")
    git(found, "commit", "-qm", "first")
    return found


def of(task_id: str, attempt: int = 1) -> Lease:
    return msgspec.structs.replace(lease(attempt), id=task_id)


def tree(repository: Path, keep: Any = "work") -> ClaudeOptions:
    return ClaudeOptions(workspace="worktree", cwd=str(repository), keep_workspace=keep)


def finish(given: Settings, task_id: str, *, succeeded: bool = True, **more: bool) -> None:
    workspaces.finish(given, task_id, lambda: True, succeeded=succeeded, **more)


def branches(repository: Path) -> list[str]:
    return git(repository, "for-each-ref", "--format=%(refname:short)", "refs/heads").split()


def test_without_a_workspace_the_task_works_in_its_cwd(given: Settings, tmp_path: Path) -> None:
    assert workspaces.folder_of(given, of("t"), ClaudeOptions(cwd=".")) == tmp_path
    with pytest.raises(Fail, match="does not exist"):
        workspaces.folder_of(given, of("t"), ClaudeOptions(cwd="nowhere"))
    assert notes.active(given.var) == []


def test_a_fresh_folder_is_empty_private_and_the_same_for_all_attempts(given: Settings) -> None:
    first = workspaces.folder_of(given, of("t"), FRESH)
    assert list(first.iterdir()) == []
    assert first.stat().st_mode & 0o777 == 0o700
    assert given.workspaces.stat().st_mode & 0o777 == 0o700
    (first / "half").touch()
    assert workspaces.folder_of(given, of("t", 2), FRESH) == first
    assert (first / "half").exists()
    assert workspaces.folder_of(given, of("other"), FRESH) != first


RULES = [
    # keep, kind, work, succeeded, stays
    ("work", "fresh", "files", True, True),
    ("work", "fresh", "", False, False),
    ("failed", "fresh", "files", True, False),
    ("failed", "fresh", "", False, True),
    ("always", "fresh", "", True, True),
    ("never", "fresh", "files", False, False),
    ("work", "worktree", "", False, False),
    ("work", "worktree", "changes", True, True),
    ("failed", "worktree", "", False, True),
    ("failed", "worktree", "", True, False),
    ("never", "worktree", "changes", True, True),
    ("never", "worktree", "", False, False),
]


@pytest.mark.parametrize(("keep", "kind", "work", "succeeded", "stays"), RULES)
def test_what_stays_when_the_task_is_final(
    keep: str, kind: str, work: str, succeeded: bool, stays: bool
) -> None:
    space = notes.Workspace(task="t", kind=kind, path=Path("/t"), keep=keep)
    standing = Standing(work, commits=False)
    assert workspaces.keeps(space, standing, succeeded=succeeded) is stays
    gone = workspaces.keeps(space, standing, succeeded=succeeded, outlived=True)
    assert gone is (kind == "worktree" and bool(work))


@pytest.mark.parametrize("keep", ["work", "never"])
def test_a_fresh_folder_goes_or_stays_as_asked(given: Settings, keep: str) -> None:
    options = msgspec.structs.replace(FRESH, keep_workspace=keep)
    path = workspaces.folder_of(given, of("t"), options)
    locked = path / "cache"
    locked.mkdir()
    (locked / "file").touch()
    locked.chmod(0o500)  # as package managers leave them
    told = workspaces.left(given, "t", succeeded=True)
    finish(given, "t")
    assert path.exists() is (keep == "work")
    assert told == workspaces.Left(str(path) if keep == "work" else "")
    assert notes.active(given.var) == []
    assert notes.kept(given.var) == (["t"] if keep == "work" else [])
    finish(given, "t", outlived=True)
    assert not path.exists()
    assert notes.kept(given.var) == []


def test_a_kept_folder_is_in_use_again_after_a_retry(given: Settings) -> None:
    path = workspaces.folder_of(given, of("t"), FRESH)
    (path / "work").touch()
    finish(given, "t")
    assert workspaces.folder_of(given, of("t", 2), FRESH) == path
    assert (notes.active(given.var), notes.kept(given.var)) == (["t"], [])


def test_a_link_in_its_place_is_removed_and_not_what_it_leads_to(
    given: Settings, tmp_path: Path
) -> None:
    path = workspaces.folder_of(
        given, of("t"), msgspec.structs.replace(FRESH, keep_workspace="never")
    )
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    path.rmdir()
    path.symlink_to(precious)
    finish(given, "t")
    assert not os.path.lexists(path)
    assert (precious / "file").exists()


def test_nothing_outside_of_the_workspaces_is_removed(given: Settings, tmp_path: Path) -> None:
    path = workspaces.folder_of(
        given, of("t"), msgspec.structs.replace(FRESH, keep_workspace="never")
    )
    precious = tmp_path / "precious"
    precious.mkdir()
    ledger = given.var / "workspaces" / "t.json"
    said = json.loads(ledger.read_text())
    for wrong in ({"path": str(precious)}, {"path": str(path), "task": "other"}):
        ledger.write_text(json.dumps(said | wrong))
        finish(given, "t")
        finish(given, "t", outlived=True)
        assert precious.exists()
        assert path.exists()


def test_one_that_is_in_use_again_is_left_alone(given: Settings) -> None:
    path = workspaces.folder_of(given, of("t"), FRESH)
    workspaces.finish(given, "t", lambda: False, succeeded=True)
    assert path.exists()
    assert notes.active(given.var) == ["t"]


def test_a_worktree_is_on_its_own_branch_and_in_the_folder_that_was_meant(
    given: Settings, repository: Path
) -> None:
    folder = workspaces.folder_of(given, of("t"), tree(repository / "inside"))
    assert folder == given.workspaces / "t" / "inside"
    assert (folder / "file").read_text() == "one\n"
    assert git(folder, "rev-parse", "--abbrev-ref", "HEAD") == "baton/t"
    assert git(repository, "rev-parse", "--abbrev-ref", "HEAD") == "main"
    assert workspaces.folder_of(given, of("t", 2), tree(repository / "inside")) == folder


def test_a_clean_worktree_goes_with_its_branch(given: Settings, repository: Path) -> None:
    folder = workspaces.folder_of(given, of("t"), tree(repository))
    assert workspaces.left(given, "t", succeeded=True) == workspaces.Left()
    finish(given, "t")
    assert not folder.exists()
    assert branches(repository) == ["main"]
    assert git(repository, "worktree", "list").count("\n") == 0
    assert notes.active(given.var) == []


def test_a_branch_with_commits_stays_and_a_later_attempt_goes_on_there(
    given: Settings, repository: Path
) -> None:
    folder = workspaces.folder_of(given, of("t"), tree(repository))
    (folder / "new").touch()
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "work")
    assert workspaces.left(given, "t", succeeded=True) == workspaces.Left(branch="baton/t")
    finish(given, "t")
    assert not folder.exists()
    assert branches(repository) == ["baton/t", "main"]
    assert workspaces.folder_of(given, of("t", 2), tree(repository)) == folder
    assert (folder / "new").exists()
    finish(given, "t")
    assert branches(repository) == ["baton/t", "main"]


@pytest.mark.parametrize("what", ["changed", "untracked", "no branch"])
@pytest.mark.parametrize("keep", ["work", "never"])
def test_a_worktree_with_work_that_is_on_no_branch_stays(
    given: Settings, repository: Path, what: str, keep: str
) -> None:
    folder = workspaces.folder_of(given, of("t"), tree(repository, keep))
    if what == "changed":
        (folder / "inside" / "file").write_text("two\n")
    else:
        (folder / "new").touch()
    if what == "no branch":
        git(folder, "checkout", "-q", "--detach")
        git(folder, "add", ".")
        git(folder, "commit", "-qm", "work")
    finish(given, "t")
    assert folder.exists()
    assert notes.kept(given.var) == ["t"]
    finish(given, "t", outlived=True)
    assert folder.exists()


def test_a_worktree_that_a_kill_left_half_made_is_made_anew(
    given: Settings, repository: Path
) -> None:
    """As SIGKILL leaves it in the middle of `git worktree add`: known to git and locked, with a branch, a part of
    the files, and no word that it was finished."""
    folder = workspaces.folder_of(given, of("t"), tree(repository))
    ledger = given.var / "workspaces" / "t.json"
    ledger.write_text(json.dumps(json.loads(ledger.read_text()) | {"made": False, "base": ""}))
    (repository / ".git" / "worktrees" / "t" / "locked").write_text("initializing")
    (folder / "inside" / "file").unlink()
    (repository / ".git" / "refs" / "heads" / "baton" / "t.lock").touch()
    assert workspaces.folder_of(given, of("t", 2), tree(repository)) == folder
    assert (folder / "inside" / "file").read_text() == "one\n"
    finish(given, "t")
    assert branches(repository) == ["main"]


MAKE = """
import os, sys
from pathlib import Path
from tests.unit import test_workspaces as t
base = Path(sys.argv[1])
environ = {"PATH": os.environ["PATH"], "HOME": str(base)}
given = t.settings_in(base, base=base, workspaces=base / "own", environ=environ)
print("now", flush=True)
t.workspaces.folder_of(given, t.of(sys.argv[3]), t.tree(Path(sys.argv[2])))
"""


def making(given: Settings, repository: Path, task_id: str) -> subprocess.Popen[bytes]:
    """A process that is about to make the worktree of a task."""
    words = [sys.executable, "-c", MAKE, str(given.base), str(repository), task_id]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, cwd=ROOT)
    assert child.stdout is not None
    assert child.stdout.readline() == b"now\n"
    return child


def test_a_consumer_that_is_killed_with_its_git_at_any_moment_is_made_good(
    given: Settings, repository: Path
) -> None:
    for number in range(200):
        (repository / f"file {number}").write_text("x" * 2000)
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "many files")
    task_id = f"t{uuid.uuid4().hex}"
    for pause_s in (0.0, 0.01, 0.02, 0.03):
        with making(given, repository, task_id) as child:
            time.sleep(pause_s)
            child.kill()
        leftovers.end_runs(given.var, task_id, 2)  # as a consumer does that takes the task back
        folder = workspaces.folder_of(given, of(task_id, 2), tree(repository))
        assert len(list(folder.iterdir())) == 202
        assert git(folder, "status", "--porcelain") == ""
        finish(given, task_id)
        assert branches(repository) == ["main"]


def test_a_git_that_outlives_its_consumer_is_waited_for(given: Settings, repository: Path) -> None:
    began = given.base / "began"
    (repository / ".gitattributes").write_text("inside/file filter=slow\n")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "a filter")
    git(repository, "config", "filter.slow.smudge", f"touch {began}; sleep 1; cat")
    task_id = f"t{uuid.uuid4().hex}"
    with making(given, repository, task_id) as child:
        wait_until(began.exists, 20, "git is at work")
        child.kill()
    with workspaces._locked(repository / ".git", wait=False) as lock:
        assert lock is None
    folder = workspaces.folder_of(given, of(task_id, 2), tree(repository))
    assert git(folder, "status", "--porcelain") == ""


def test_many_at_once_in_one_repository_all_get_theirs(given: Settings, repository: Path) -> None:
    failed: list[Exception] = []

    def make(task_id: str) -> None:
        try:
            workspaces.folder_of(given, of(task_id), tree(repository))
        except Exception as error:  # noqa: BLE001  # shown below
            failed.append(error)

    threads = [threading.Thread(target=make, args=(f"t{n}",)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failed
    assert len(branches(repository)) == 7


def test_the_hooks_of_a_repository_do_not_run(given: Settings, repository: Path) -> None:
    hook = repository / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {given.base}/hooked\n")
    hook.chmod(0o755)
    workspaces.folder_of(given, of("t"), tree(repository))
    assert not (given.base / "hooked").exists()


def test_what_git_cannot_do_is_rejected_with_what_to_do(given: Settings, tmp_path: Path) -> None:
    plain, empty = tmp_path / "plain", tmp_path / "empty"
    plain.mkdir()
    empty.mkdir()
    git(empty, "init", "-q")
    for folder in (plain, empty):
        with pytest.raises(Fail, match="git cannot make") as refused:
            workspaces.folder_of(given, of("t"), tree(folder))
        assert "with a commit" in refused.value.remedy
    without = msgspec.structs.replace(given, environ={"PATH": str(plain)})
    with pytest.raises(Fail, match="no git on PATH"):
        workspaces.folder_of(without, of("t"), tree(empty))


def test_a_lock_of_somebody_else_s_git_is_no_reason_to_give_up(
    given: Settings, repository: Path
) -> None:
    (repository / ".git" / "HEAD.lock").touch()
    with pytest.raises(GitError) as refused:
        run_git(given.environ, repository, "checkout", "-q", "--detach")
    assert refused.value.passing


def test_a_place_that_cannot_be_written_fails_nobody(given: Settings) -> None:
    given.workspaces.write_text("in the way")
    with pytest.raises(GiveBack):
        workspaces.folder_of(given, of("t"), FRESH)


def test_a_caretaker_looks_after_what_is_final_and_nothing_else(
    huey: BatonHuey, given: Settings
) -> None:
    never = msgspec.structs.replace(FRESH, keep_workspace="never")
    leased = {}
    for task_id in ("final", "running"):
        huey.store.submit([Submission(id=task_id, body=b"{}")])
        leased[task_id] = huey.store.claim("me", task_id, ("default",), 30_000)
    folders = {
        task_id: workspaces.folder_of(given, of(task_id), never)
        for task_id in ("final", "running", "forgotten")
    }
    assert isinstance(leased["final"], Lease)
    huey.store.settle(leased["final"], State.SUCCEEDED, outcome="succeeded")
    Caretaker(given, huey.store).look()
    assert [name for name, folder in folders.items() if folder.exists()] == ["running"]


def test_a_removal_that_was_killed_is_no_hindrance_to_the_next(given: Settings) -> None:
    """A caretaker dies in the middle of a large folder, a person sends the task back, and it ends again."""
    never = ClaudeOptions(workspace="fresh", keep_workspace="never")
    folder = workspaces.folder_of(given, of("t"), never)
    (folder / "old").touch()
    folder.rename(folder.with_name(".gone-t"))
    (workspaces.folder_of(given, of("t", 2), never) / "new").touch()
    finish(given, "t")
    assert list(given.workspaces.iterdir()) == []
    assert notes.active(given.var) == notes.kept(given.var) == []
