"""What the next attempt knows of one that was lost: its session, else that there was one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from consumers.claude import session_id
from durable.records import Record, State
from tests.acceptance.claude_cli import find_claude
from tests.acceptance.claude_site import (
    ClaudeSite,
    bash,
    claude_settings,
    dotenv,
    marked,
    say,
    script,
)
from tests.acceptance.standin_process import StandInProcess, standin
from tests.conftest import ROOT, wait_until

AFRESH = "Somebody has worked on this task before you and was cut off"


@pytest.fixture(scope="module")
def api() -> Iterator[StandInProcess]:
    with standin() as running:
        yield running


@pytest.fixture(scope="module")
def site(api: StandInProcess) -> Iterator[ClaudeSite]:
    """One consumer of two; a test that kills anything starts it again. While the file `wait` is there, claude waits."""
    folder = Path(tempfile.mkdtemp(prefix="bt-"))
    dotenv(folder, api)
    program = folder / "claude"
    program.write_text(
        f'#!/bin/sh\nwhile test -e {folder}/wait; do sleep 0.05; done\nexec {find_claude()} "$@"\n'
    )
    program.chmod(0o700)
    own = ClaudeSite(folder, {"consumers": 2, "claude": claude_settings(command=str(program))})
    own.start("redis")
    own.start("consumer", "1")
    yield own
    own.close()
    shutil.rmtree(folder, ignore_errors=True)


class Task:
    """One whose first tool call ends at once, and whose second, `then`, does so from the second attempt on."""

    def __init__(
        self, site: ClaudeSite, then: dict[str, Any] | None = None, **options: Any
    ) -> None:
        own = Path(tempfile.mkdtemp(dir=site.folder))
        self.site, self.lines, self.go = site, own / "lines", own / "go"
        first = bash(f"echo first >> {self.lines}")
        second = bash(f"echo second >> {self.lines}; test -e {self.go} || sleep 600")
        self.prompt = script(first, then or second, say("all done"))
        self.id = site.submit(self.prompt, **options)

    def begun(self) -> None:
        """Wait until its second tool call has begun and is in the session, and let that of the next attempt end.

        Claude writes its session down a moment later than it acts: a SIGKILL in that moment costs that turn, too.
        """
        wait_until(lambda: "second" in self._lines(), 40, "it is in its second step")
        wait_until(
            lambda: self._session().count('"type":"tool_use"') == 2, 10, "that is in its session"
        )
        self.go.touch()

    def _session(self) -> str:
        files = self.site.folder.rglob(f"{session_id(self.id, 1)}.jsonl")
        return "".join(file.read_text() for file in files)

    def _lines(self) -> str:
        return self.lines.read_text() if self.lines.exists() else ""

    @property
    def runner(self) -> int:
        """The pid of the first attempt's runner."""
        return int(json.loads((self.site.attempt(self.id) / "runner.json").read_text())["pid"])

    def kill_claude(self) -> None:
        """SIGKILL to claude itself, which the runner survives."""
        children = Path(f"/proc/{self.runner}/task/{self.runner}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)

    def hasten(self) -> None:
        """The pause before a retry is not waited for."""
        self.site.wait_for(self.id, State.SCHEDULED)
        self.site.store.hasten(self.id)

    def succeeded(self, attempt: int, counted: int) -> Record:
        """It ended well in this attempt, in which what was done before was not done again."""
        record = self.site.finish(self.id)
        assert (record.state, record.attempt, record.counted) == (State.SUCCEEDED, attempt, counted)
        assert self._lines().count("first") == 1
        assert not marked(f"BATON_ATTEMPT={self.id}")
        return record

    def told(self, attempt: int) -> str:
        """The prompt of an attempt."""
        return (self.site.attempt(self.id, attempt) / "prompt.md").read_text()


def assert_resumed(site: ClaudeSite, task_id: str, what: str) -> None:
    """The second attempt went on in the session of the first, and was told `what` had happened."""
    folders = [site.attempt(task_id, number) for number in (1, 2)]
    argvs = [json.loads((folder / "command.json").read_text())["argv"] for folder in folders]
    assert f"--session-id={session_id(task_id, 1)}" in argvs[0]
    assert f"--resume={session_id(task_id, 1)}" in argvs[1]
    told = (folders[1] / "prompt.md").read_text()
    assert what in told
    assert "STANDIN" in told


def turns(api: StandInProcess, task: Task) -> Counter[int]:
    """How often each turn of the task's first session was asked for."""
    session = session_id(task.id, 1)
    return Counter(r["turn"] for r in api.requests() if r["session"] == session)


@pytest.mark.parametrize("reboot", [False, True], ids=["on the same boot", "after a reboot"])
def test_after_everything_was_killed_at_once_the_session_goes_on(
    site: ClaudeSite, api: StandInProcess, reboot: bool
) -> None:
    task = Task(site)
    task.begun()
    runner = task.runner
    site.processes["consumer-1"].send_signal(signal.SIGSTOP)  # nobody acts between two of the kills
    os.kill(runner, signal.SIGKILL)
    for pid in marked(f"BATON_ATTEMPT={task.id}"):
        os.kill(pid, signal.SIGKILL)
    for label in ("redis", "consumer-1"):
        site.kill(label)
    if reboot:
        file = site.attempt(task.id) / "runner.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"boot_id": "another boot"}))
    site.start("redis")
    site.start("consumer", "1")
    if not reboot:  # nobody can tell it from a crash of the runner, which counts
        task.hasten()
    task.succeeded(2, 0 if reboot else 1)
    assert_resumed(site, task.id, "Your work on this task was cut off")
    asked = turns(api, task)
    assert asked[0] == 1  # what had been answered was not asked for again
    assert asked[1] <= 2  # but for the turn that was in flight


def test_after_a_crash_of_claude_the_session_goes_on(site: ClaudeSite, api: StandInProcess) -> None:
    task = Task(site)
    task.begun()
    task.kill_claude()
    task.hasten()
    task.succeeded(2, 1)
    assert_resumed(site, task.id, "SIGKILL")
    assert turns(api, task)[0] == 1


def test_after_its_time_or_its_silence_the_session_goes_on(site: ClaudeSite) -> None:
    """Both at once, since both are waited for; the limits hold for the second attempt, too."""
    site.start("consumer", "2")
    limits = {"max_runtime": 14, "max_silence": 8}
    tasks = {
        option: Task(site, {"hang": "before", "times": 1}, **{option: seconds})
        for option, seconds in limits.items()
    }
    for option in ("max_silence", "max_runtime"):
        tasks[option].hasten()
    for option, task in tasks.items():
        task.succeeded(2, 1)
        assert_resumed(site, task.id, option)
    site.stop("consumer-2")


def test_a_session_that_is_gone_is_begun_afresh_costs_no_attempt_and_is_told(
    site: ClaudeSite,
) -> None:
    task = Task(site)
    task.begun()
    task.kill_claude()
    site.wait_for(task.id, State.SCHEDULED)
    forget_sessions(site)
    task.hasten()
    record = site.finish(task.id)
    assert (record.state, record.attempt, record.counted) == (State.SUCCEEDED, 3, 1)
    assert task.told(2).startswith("Your work on this task was cut off")
    assert task.told(3).startswith(AFRESH)
    assert task.told(3).endswith(task.prompt)
    assert said_of(site, task.id, "No conversation found")


def test_a_taken_over_run_whose_session_is_gone_is_begun_afresh_too(site: ClaudeSite) -> None:
    task = Task(site)
    task.begun()
    task.kill_claude()
    site.wait_for(task.id, State.SCHEDULED)
    forget_sessions(site)
    (site.folder / "wait").touch()
    task.hasten()
    wait_until(
        (site.attempt(task.id, 2) / "runner.json").exists, 20, "the second attempt has begun"
    )
    site.kill("consumer-1")
    (site.folder / "wait").unlink()
    site.start("consumer", "1")
    record = site.finish(task.id)
    assert (record.state, record.attempt, record.counted) == (State.SUCCEEDED, 3, 1)
    assert f"task {task.id}: attempt 2 of" in site.log("consumer-1").read_text()  # is taken over
    assert task.told(3).startswith(AFRESH)


def test_a_session_that_is_in_use_already_is_begun_afresh_and_costs_no_attempt(
    site: ClaudeSite,
) -> None:
    site.store.close_gate("all", "pause", by="test", why="until the session is taken")
    task = Task(site)
    task.go.touch()
    take_session(site, session_id(task.id, 1))
    site.store.open_gate("pause")
    task.succeeded(2, 0)
    assert task.told(2) == task.prompt  # nobody had worked on it
    assert said_of(site, task.id, "already in use")


def test_a_crash_waits_for_a_person_where_that_is_wanted_and_then_goes_on(site: ClaudeSite) -> None:
    task = Task(site, on_crash="hold")
    task.begun()
    task.kill_claude()
    assert "SIGKILL" in site.wait_for(task.id, State.HELD).reason
    command = [sys.executable, "-P", "-m", "cli", "retry", task.id]
    env = site.env | {"PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=site.folder, env=env, check=True, timeout=60)
    task.succeeded(2, 0)
    assert_resumed(site, task.id, "SIGKILL")


def test_rerun_begins_afresh_after_a_crash(site: ClaudeSite) -> None:
    task = Task(site, on_crash="rerun")
    task.begun()
    task.kill_claude()
    task.hasten()
    assert site.finish(task.id).state is State.SUCCEEDED
    assert task.told(2) == task.prompt


def forget_sessions(site: ClaudeSite) -> None:
    """As a person does who clears ~/.claude."""
    for projects in site.folder.rglob(".claude/projects"):
        shutil.rmtree(projects)


def take_session(site: ClaudeSite, session: str) -> None:
    """Use a session's id elsewhere, in the same folder and home."""
    names = dict(line.split("=", 1) for line in (site.folder / ".env").read_text().split())
    subprocess.run(
        [find_claude(), "-p", f"--session-id={session}", script(say("mine"))],
        cwd=site.folder,
        env=names | {"HOME": site.env["HOME"], "PATH": site.env["PATH"]},
        stdin=subprocess.DEVNULL,
        check=True,
        timeout=60,
    )


def said_of(site: ClaudeSite, task_id: str, words: str) -> bool:
    """Whether the consumer's log says so of an attempt that was given back."""
    lines = site.log("consumer-1").read_text().splitlines()
    return any(task_id in line and words in line and "begins afresh" in line for line in lines)
