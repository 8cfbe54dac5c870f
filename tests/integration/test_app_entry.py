"""app.py as PM2 starts it: the lock, the ready signal, the environment, the hand-over.

The role is a stub that writes down what it sees; everything around it is real.
"""

import contextlib
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.locks import holder, live_holder, lock_path
from settings.environment import run_folder
from tests.conftest import ROOT, wait_until
from tests.site import Log

Channel = tuple[socket.socket, socket.socket]

ENTRY = f"""
import sys
sys.path[0] = {str(ROOT)!r}
sys.path.append({{folder!r}})
import app
app.ROLES["scheduler"] = "stub_role"
sys.exit(app.main(sys.argv[1:]))
"""

ROLE = """
import json, os, signal, subprocess, sys, time
from pathlib import Path

def run(settings, name, ready):
    plan = json.loads((settings.base / "plan.json").read_text())
    stopped = []
    signal.signal(signal.SIGINT, lambda *_: stopped.append(1))
    inherited = subprocess.run(["ls", "/proc/self/fd"], close_fds=False, stdin=None,
                               capture_output=True, text=True).stdout.split()
    seen = {"env": dict(os.environ), "fds": inherited, "umask": os.umask(0o077)}
    (settings.base / f"seen-{os.getpid()}.json").write_text(json.dumps(seen))
    for words in plan.get("print", ()):
        print(words)
    if "print" in plan:
        print("no end", end="")
        subprocess.run(["echo", "of a child"])
    if plan.get("raise"):
        raise RuntimeError(plan["raise"])
    ready()
    ready()
    while not stopped and "status" not in plan:
        time.sleep(0.02)
        if (settings.base / "speak").exists():
            print("still here", flush=True)
            (settings.base / "speak").unlink()
    return plan.get("status", 0)
"""

UNDER_PM2 = {
    "pm_id": "3",
    "name": "baton-scheduler",
    "PM2_HOME": "/nowhere",
    "exp_backoff_restart_delay": "100",
    "treekill": "false",
    "NODE_CHANNEL_SERIALIZATION_MODE": "json",
    "BATON_FINGERPRINT": "f",
    "SECRET": "hush",
}


class Stage:
    """A folder with a configuration and a stub role, and the processes started from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.var = folder / "var"
        self.running: list[subprocess.Popen[bytes]] = []
        (folder / "app.py").write_text(ENTRY.format(folder=str(folder)))
        (folder / "stub_role.py").write_text(ROLE)
        (folder / "baton.yaml").write_text("consumers: 1\n")
        self.plan()

    def plan(self, **what: object) -> None:
        (self.folder / "plan.json").write_text(json.dumps(what))

    @property
    def env(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "BATON_CONFIG": str(self.folder / "baton.yaml"),
            "BATON_VAR": str(self.var),
        }

    def start(
        self,
        *words: str,
        pm2: Any = None,
        env: dict[str, str] | None = None,
        before: tuple[str, ...] = (),
        leak: tuple[int, ...] = (),
        **pipes: Any,
    ) -> subprocess.Popen[bytes]:
        """Start a copy; `pm2` is the app's end of the channel."""
        added = UNDER_PM2 | {"NODE_CHANNEL_FD": str(pm2.fileno())} if pm2 else {}
        process = subprocess.Popen(
            [*before, sys.executable, str(self.folder / "app.py"), *(words or ("scheduler",))],
            env=self.env | added | (env or {}),
            pass_fds=[*([pm2.fileno()] if pm2 else []), *leak],
            stdin=pipes.pop("stdin", subprocess.DEVNULL),
            stdout=pipes.pop("stdout", subprocess.DEVNULL),
            stderr=pipes.pop("stderr", None) or self.log.open("ab"),
        )
        self.running.append(process)
        return process

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def words(self) -> str:
        return Log(self.log).read_text()

    @property
    def own_log(self) -> Path:
        """Where a copy logs that PM2 supervises."""
        return self.var / "logs" / "baton-scheduler.log"

    @property
    def lock(self) -> Path:
        return lock_path(self.var, "baton-scheduler")

    def ready(self, process: subprocess.Popen[bytes]) -> bool:
        held = holder(self.lock)
        return bool(held and held.ready and held.pid == process.pid)

    def seen(self, process: subprocess.Popen[bytes]) -> Any:
        return json.loads((self.folder / f"seen-{process.pid}.json").read_text())

    def close(self) -> None:
        for process in self.running:
            process.kill()
            process.wait()
        for pid in self._left():
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(run_folder(self.var), ignore_errors=True)

    def _left(self) -> list[int]:
        """Copies whose parent was killed before them."""
        entry = os.fsencode(self.folder / "app.py")
        found = []
        for command in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if entry in command.read_bytes().split(b"\0"):
                    found.append(int(command.parent.name))
        return found


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    made.close()


@pytest.fixture
def channel() -> Iterator[Channel]:
    """PM2's end and the app's end of a channel."""
    ours, theirs = socket.socketpair()
    ours.settimeout(20)
    yield ours, theirs
    ours.close()
    theirs.close()


def wait_ready(stage: Stage, process: subprocess.Popen[bytes]) -> None:
    wait_until(lambda: stage.ready(process) or process.poll() is not None, what="ready")
    assert process.poll() is None, stage.words


def received(channel: socket.socket) -> bytes:
    """All that the app wrote until it let go of the channel."""
    found = b""
    while part := channel.recv(100):
        found += part
    return found


def test_pm2_hears_ready_exactly_once(stage: Stage, channel: Channel) -> None:
    ours, theirs = channel
    wait_ready(stage, stage.start(pm2=theirs))
    theirs.close()
    assert received(ours) == b'"ready"\n'
    assert stage.words.count(": ready\n") == 1


def test_a_role_sees_nothing_of_pm2_nor_of_the_shell(stage: Stage, channel: Channel) -> None:
    _, theirs = channel
    process = stage.start(pm2=theirs, env={"LC_ALL": "C.UTF-8", "HUSH": "secret"})
    wait_ready(stage, process)
    allowed = {"PATH", "HOME", "LANG", "LC_ALL", "BATON_CONFIG", "BATON_VAR", "LC_CTYPE"}
    assert set(stage.seen(process)["env"]) <= allowed


def test_no_process_below_inherits_the_channel_or_the_lock(stage: Stage, channel: Channel) -> None:
    _, theirs = channel
    read, write = os.pipe()
    process = stage.start(pm2=theirs, leak=(write,))  # as a daemon does that a shell started
    wait_ready(stage, process)
    # 0, 1, 2, and the folder that `ls` reads
    assert sorted(map(int, stage.seen(process)["fds"])) == [0, 1, 2, 3]
    os.close(read)
    os.close(write)


def test_what_a_role_writes_is_private(stage: Stage) -> None:
    process = stage.start()
    wait_ready(stage, process)
    assert stage.seen(process)["umask"] == 0o077


def test_without_pm2_the_environment_stays_and_ready_is_a_line_in_the_log(stage: Stage) -> None:
    process = stage.start(env={"SECRET": "mine", "PM2_HOME": "/x"})
    wait_ready(stage, process)
    env = stage.seen(process)["env"]
    assert env["SECRET"] == "mine"
    assert "PM2_HOME" not in env
    assert " INFO baton-scheduler: ready\n" in stage.words


def test_a_channel_that_is_no_socket_is_left_alone(stage: Stage) -> None:
    with (stage.folder / "file").open("wb") as file:
        wait_ready(stage, stage.start(pm2=file))
    assert (stage.folder / "file").read_bytes() == b""


def test_a_second_copy_waits_for_the_first_to_go(stage: Stage) -> None:
    first = stage.start()
    wait_ready(stage, first)
    second = stage.start()
    wait_until(lambda: f"another copy runs (pid {first.pid})" in stage.words)
    assert stage.ready(first)
    first.send_signal(signal.SIGINT)
    wait_ready(stage, second)
    assert first.wait(10) == 0
    assert stage.words.count("another copy runs") == 1


def test_a_killed_copy_frees_its_name_at_once(stage: Stage) -> None:
    first = stage.start()
    wait_ready(stage, first)
    second = stage.start()
    first.kill()
    wait_ready(stage, second)


def test_a_supervised_copy_asks_an_orphan_to_hand_over(stage: Stage, channel: Channel) -> None:
    orphan = stage.start()
    wait_ready(stage, orphan)
    second = start_below(stage, "a new PM2", pm2=channel[1])
    wait_until(lambda: orphan.poll() is not None, what="the orphan has gone")
    assert orphan.returncode == 0
    wait_until(lambda: (held := holder(stage.lock)) and held.ready)
    assert "to hand over" in stage.words
    second.kill()


def test_a_copy_that_another_pm2_supervises_is_never_asked(stage: Stage, channel: Channel) -> None:
    first = start_below(stage, "PM2 v7.0.4: God Daemon (/somewhere)")
    wait_until(lambda: (held := live_holder(stage.lock)) and held.ready)
    before = holder(stage.lock)
    stage.start(pm2=channel[1])
    wait_until(lambda: "another copy runs" in stage.words)
    time.sleep(0.5)  # long enough for five looks at who holds the lock
    assert holder(stage.lock) == before
    assert "hand over" not in stage.words
    first.kill()


def test_a_copy_started_by_hand_asks_nobody(stage: Stage) -> None:
    first = stage.start()
    wait_ready(stage, first)
    start_below(stage, "a shell")
    wait_until(lambda: "another copy runs" in stage.words)
    time.sleep(0.5)  # long enough for five looks at who holds the lock
    assert stage.ready(first)


def start_below(stage: Stage, title: str, **more: Any) -> subprocess.Popen[bytes]:
    """Start a copy under a parent of this title, which goes when it is killed."""
    code = "import subprocess, sys; sys.exit(subprocess.call(sys.argv[2:], close_fds=False))"
    return stage.start(before=(sys.executable, "-c", code, title), **more)


def waits_more(stage: Stage, times: int) -> bool:
    return stage.words.count("another copy runs") > times


def test_a_copy_that_waits_goes_at_once_when_told(stage: Stage) -> None:
    wait_ready(stage, stage.start())
    for number in (signal.SIGINT, signal.SIGTERM):
        second = stage.start()
        seen = stage.words.count("another copy runs")
        wait_until(functools.partial(waits_more, stage, seen))
        second.send_signal(number)
        assert second.wait(10) == 0


def test_a_mistake_in_the_configuration_ends_with_78_and_its_line(stage: Stage) -> None:
    (stage.folder / "baton.yaml").write_text("consumers: 1\nwatcherz: {}\n")
    assert stage.start().wait(20) == 78
    assert "baton.yaml:2" in stage.words
    assert "watchers" in stage.words


def test_an_app_that_the_configuration_does_not_have_ends_with_78(stage: Stage) -> None:
    for words in (["watch", "outbox"], ["consumer", "2"], ["nonsense"]):
        assert stage.start(*words).wait(20) == 78
    assert "no app 'watch outbox'" in stage.words
    assert "there is: redis, scheduler, consumer 1" in stage.words


@pytest.mark.parametrize("status", [0, 69])
def test_the_status_of_the_role_is_the_status_of_the_app(stage: Stage, status: int) -> None:
    stage.plan(status=status)
    assert stage.start().wait(20) == status


def test_an_error_is_one_line_and_a_traceback_and_status_1(stage: Stage) -> None:
    stage.plan(**{"raise": "a name\nwith a newline \x1b[2J"})
    assert stage.start().wait(20) == 1
    assert "Traceback" in stage.words
    assert "ERROR baton-scheduler: this app ends with an error" in stage.words
    assert "\x1b" not in stage.words


def supervised(stage: Stage, theirs: socket.socket, **more: Any) -> subprocess.Popen[bytes]:
    """A copy with a log of its own, as PM2 starts it."""
    return stage.start(pm2=theirs, env={"BATON_LOG": str(stage.own_log)}, **more)


def test_an_app_works_on_and_keeps_its_log_when_pm2_has_gone(
    stage: Stage, channel: Channel
) -> None:
    ours, theirs = channel
    pipe = subprocess.PIPE
    process = supervised(stage, theirs, stdin=pipe, stdout=pipe, stderr=pipe)
    wait_ready(stage, process)
    for end in (process.stdin, process.stdout, process.stderr, ours):
        assert end
        end.close()
    log = Log(stage.own_log)
    wait_until(lambda: "PM2 has gone" in log.read_text())
    (stage.folder / "speak").touch()
    wait_until(lambda: "still here" in log.read_text())
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0


def test_what_an_app_says_is_one_json_object_a_line(stage: Stage, channel: Channel) -> None:
    """Under PM2: its log, what it prints, what it raises; only what its children print goes beside it."""
    stage.plan(**{"raise": "a name\nwith a newline \x1b[2J", "print": ["two\nlines", "é"]})
    process = supervised(stage, channel[1])
    assert process.wait(20) == 1
    entries = [json.loads(line) for line in stage.own_log.read_text().splitlines()]
    assert {entry["app"] for entry in entries} == {"baton-scheduler"}
    assert [e["message"] for e in entries if e["logger"] == "stdout"] == [
        "two",
        "lines",
        "é",
        "no end",
    ]
    [raised] = [entry for entry in entries if "traceback" in entry]
    assert "a newline \x1b[2J" in raised["traceback"]
    assert all(len(e["at"]) == len("2026-11-22T21:46:03.120Z") for e in entries)
    assert stage.own_log.with_suffix(".out").read_text() == "of a child\n"
    for file in (stage.own_log, stage.own_log.with_suffix(".out")):
        assert file.stat().st_mode & 0o077 == 0
    assert "\x1b" not in Log(stage.own_log).read_text()


def test_a_mistake_in_the_configuration_stands_in_the_apps_own_log(
    stage: Stage, channel: Channel
) -> None:
    (stage.folder / "baton.yaml").write_text("consumers: 1\nwatcherz: {}\n")
    assert supervised(stage, channel[1]).wait(20) == 78
    assert "baton.yaml:2" in Log(stage.own_log).read_text()


def test_an_app_works_also_where_it_cannot_log_and_logs_as_soon_as_it_can(
    stage: Stage, channel: Channel
) -> None:
    stage.plan(print=["to nobody"])
    stage.var.mkdir()
    (stage.var / "logs").touch()  # no folder: as one that is full or belongs to another user
    process = supervised(stage, channel[1])
    wait_ready(stage, process)
    (stage.var / "logs").unlink()
    (stage.folder / "speak").touch()
    wait_until(stage.own_log.exists)
    wait_until(lambda: "still here" in Log(stage.own_log).read_text())
    assert "lines before this one could not be written" in Log(stage.own_log).read_text()
