"""Runs whose runner and follower were both killed: found by their notes, ended by anybody."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from consumers import lost_runs, processes
from consumers.handle import exit_of
from tests.integration.test_runner import PY, SLEEP, TASK, ZOO_STAYS, Rig, end_of, rig

pytestmark = pytest.mark.skipif(not processes.LINUX, reason="reads /proc to see what is left")

__all__ = ["rig"]


@pytest.fixture
def site(rig: Rig) -> Iterator[Rig]:
    """A rig whose attempt lies where a consumer puts it; its root is the state folder."""
    rig.folder = rig.root / "attempts" / TASK / "1"
    lost_runs.note(rig.folder, 7)
    yield rig
    for run in rig.runs:
        run.stop(7, "cancelled")
        run.wait(5)


def killed(site: Rig, script: str, without: str = "shed") -> None:
    """A run whose runner is killed, and which nobody follows."""
    environment = {"PATH": os.environ["PATH"], "WITHOUT": without}
    run = site.started(script, env=environment)
    assert run.pid is not None
    os.kill(run.pid, signal.SIGKILL)
    os.waitpid(run.pid, 0)


def notes(site: Rig) -> list[str]:
    return os.listdir(site.root / "live")


def test_whoever_looks_ends_what_a_killed_runner_left(site: Rig) -> None:
    killed(site, ZOO_STAYS)
    (site.folder / "tmp" / "left").touch()
    assert lost_runs.bury(site.root) == [site.folder]
    assert site.alive() == []
    assert not (site.folder / "tmp").exists()
    assert not (site.root / "s").exists()
    ended = exit_of(site.folder)
    assert ended is not None
    assert (ended.lost_runner, ended.survivors) == (True, 0)
    assert lost_runs.bury(site.root) == []
    assert notes(site) == []


def test_what_stands_in_place_of_its_temporary_folder_goes_and_no_link_is_followed(
    site: Rig,
) -> None:
    killed(site, SLEEP)
    kept = site.root / "kept"
    (kept / "precious").mkdir(parents=True)
    (site.folder / "tmp").rmdir()
    (site.folder / "tmp").symlink_to(kept)
    assert lost_runs.bury(site.root)
    assert not (site.folder / "tmp").is_symlink()
    assert (kept / "precious").exists()


def test_a_run_in_good_hands_is_let_be(site: Rig) -> None:
    run = site.started(SLEEP)
    assert lost_runs.bury(site.root) == []
    assert run.hold(7)
    assert notes(site) == ["7"]
    run.stop(7, "cancelled")
    assert end_of(run).stopped == "cancelled"
    assert lost_runs.bury(site.root) == []
    assert notes(site) == []


def test_a_run_whose_runner_is_about_to_begin_is_let_be(site: Rig) -> None:
    (site.folder / "command.json").write_text(json.dumps(site.command(SLEEP) | {"env": []}))
    assert lost_runs.bury(site.root) == []
    assert end_of(site.started(SLEEP, deadline_s=0.5)).stopped == "deadline"


def test_what_a_reboot_left_is_put_in_order(site: Rig) -> None:
    killed(site, SLEEP)
    facts = json.loads((site.folder / "runner.json").read_text())
    (site.folder / "runner.json").write_text(json.dumps(facts | {"boot_id": "another"}))
    assert lost_runs.stop(site.root) == []
    assert lost_runs.bury(site.root) == [site.folder]
    assert not (site.folder / "tmp").exists()


def test_a_run_without_a_consumer_is_interrupted_whatever_token_it_obeys(site: Rig) -> None:
    run = site.started(ZOO_STAYS)
    assert run.hold(99)
    assert lost_runs.stop(site.root) == [site.folder]
    assert site.alive() == []
    assert end_of(run).stopped == "shutdown"


def test_a_note_whose_folder_was_pruned_is_removed(site: Rig) -> None:
    site.folder.rmdir()
    assert lost_runs.bury(site.root) == []
    assert notes(site) == []


def test_without_a_note_there_is_nothing_to_do(tmp_path: Path) -> None:
    assert lost_runs.bury(tmp_path) == lost_runs.stop(tmp_path) == []


#: A shell with job control: it has gone, its jobs have process groups of their own, and one no environment.
JOBS = (
    PY
    + """
if os.fork() == 0:
    os.setsid()
    for argv in (['sleep', '600'], ['sh', '-c', 'echo $$ >> pids; exec sleep 600']):
        if os.fork() == 0:
            os.setpgid(0, 0)
            os.execve('/bin/' + argv[0], argv, os.environ if argv[0] == 'sleep' else {})
    os._exit(0)
while not os.path.exists('pids'): time.sleep(0.01)
print('started', flush=True); time.sleep(600)
"""
)


def test_what_wiped_its_environment_is_known_by_its_session(site: Rig) -> None:
    killed(site, JOBS)
    assert lost_runs.bury(site.root)
    assert site.alive() == []


def test_an_attempt_and_its_check_are_noted_side_by_side(tmp_path: Path) -> None:
    attempt = tmp_path / "attempts" / TASK / "1"
    for folder in (attempt, attempt / "verify"):
        lost_runs.note(folder, 7)
    live = tmp_path / "live"
    assert {link.name: (live / os.readlink(link)).resolve() for link in live.iterdir()} == {
        "7": attempt,
        "7-verify": attempt / "verify",
    }
