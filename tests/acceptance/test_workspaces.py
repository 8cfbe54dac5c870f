"""Tasks with folders of their own, with the real CLI: parallel worktrees of one repository, a fresh folder kept."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from durable.codec import loads
from durable.records import State
from tests.acceptance.claude_site import ClaudeSite, bash, claude_settings, dotenv, say, script
from tests.acceptance.standin_process import StandInProcess, standin
from tests.conftest import wait_until

WHO = "-c user.name=a -c user.email=a@b -c init.defaultBranch=main"


@pytest.fixture(scope="module")
def api() -> Iterator[StandInProcess]:
    with standin() as running:
        yield running


@pytest.fixture
def site(short_tmp: Path, api: StandInProcess) -> Iterator[ClaudeSite]:
    dotenv(short_tmp, api)
    own = ClaudeSite(short_tmp, {"consumers": 2, "claude": claude_settings()})
    own.start("redis")
    for number in "12":
        own.start("consumer", number)
    yield own
    own.close()


def git(folder: Path, *words: str) -> str:
    return subprocess.run(
        ["git", *WHO.split(), *words],
        cwd=folder,
        env={"HOME": str(folder), "PATH": os.environ["PATH"]},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


@pytest.fixture
def repository(short_tmp: Path) -> Path:
    found = short_tmp / "repository"
    found.mkdir()
    (found / "file").write_text("first\n")
    git(found, "init", "-q")
    git(found, "add", ".")
    git(found, "commit", "-qm", "first")
    return found


def result(site: ClaudeSite, task_id: str) -> dict[str, Any]:
    found: dict[str, Any] = loads(site.store.result(task_id) or b"{}")
    return found


def test_parallel_tasks_on_one_repository_commit_each_on_its_own_branch(
    site: ClaudeSite, repository: Path
) -> None:
    meet = site.folder / "meet"
    meet.mkdir()

    def work(name: str, other: str) -> str:
        commands = (
            f"echo {name} > file; touch {meet}/{name}",
            f"for i in $(seq 300); do test -e {meet}/{other} && break; sleep 0.1; done; cat file",
            f"git {WHO} commit -qam {name}",
        )
        options = {
            "workspace": "worktree",
            "cwd": str(repository),
            "verify": f"grep -qx {name} file",
        }
        return site.submit(script(*map(bash, commands), say("committed")), **options)

    ids = {name: work(name, other) for name, other in (("left", "right"), ("right", "left"))}
    for name, task_id in ids.items():
        record = site.finish(task_id)
        assert (record.state, record.attempt) == (State.SUCCEEDED, 1), record.reason
        assert f"branch baton/{task_id}" in record.reason
        assert result(site, task_id)["branch"] == f"baton/{task_id}"
        assert git(repository, "show", f"baton/{task_id}:file") == name
        assert git(repository, "log", "--format=%s", f"main..baton/{task_id}") == name
    assert all((meet / name).exists() for name in ids)
    assert (repository / "file").read_text() == "first\n"
    places = [site.settings.workspaces / task_id for task_id in ids.values()]
    wait_until(lambda: not any(place.exists() for place in places), 20, "the clean trees are gone")


@pytest.mark.parametrize("kind", ["fresh", "worktree"])
def test_the_next_attempt_goes_on_in_the_same_folder_and_session(
    site: ClaudeSite, repository: Path, kind: str
) -> None:
    task_id = site.submit(
        script(bash("ls -A; echo done >> briefing.md"), say("written")),
        workspace=kind,
        cwd=str(repository),
        verify=["sh", "-c", f"test -e {site.folder}/passes || {{ ls; exit 1; }}"],
    )
    assert site.wait_for(task_id, State.SCHEDULED).outcome == "unverified"
    (site.folder / "passes").touch()
    site.store.hasten(task_id)
    record = site.finish(task_id)
    assert (record.state, record.attempt) == (State.SUCCEEDED, 2), record.reason
    assert "| briefing.md" in (site.attempt(task_id, 2) / "prompt.md").read_text()
    assert ("file" in site.tool_output(task_id)) is (kind == "worktree")
    place = Path(result(site, task_id)["workspace"])
    assert (place / "briefing.md").exists()
    assert place.parent == site.settings.workspaces
    assert str(place) in record.reason
    shown = site.python(f"from cli.__main__ import main\nmain(['show', {task_id!r}])")
    assert f"workspace  {place}" in shown
