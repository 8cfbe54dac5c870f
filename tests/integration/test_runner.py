"""The runner with real processes; claude is a small script here."""

import json
import os
import select
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from consumers import handle, processes
from consumers.ending import Exit
from consumers.handle import Handle, attach, exit_of, launch
from consumers.heartbeat import boot_clock
from tests.conftest import ROOT, wait_until

pytestmark = pytest.mark.skipif(not processes.LINUX, reason="reads /proc to see what is left")

TASK = "0" * 20
WITHIN_S = 20.0
SH = "#!/bin/sh\n"
PY = f"#!{sys.executable} -IS\nimport os, signal, sys, time\n"
SLEEP = SH + "echo started; exec sleep 600\n"
DEAF = PY + (
    "signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('started', flush=True); time.sleep(600)\n"
)
# Children of every kind that is hard to end. Each writes its pid to the file `pids`.
ZOO = PY + (
    """
def note():
    with open('pids', 'a') as file: file.write(f'{os.getpid()}\\n')
def deafen():
    for number in (1, 2, 15): signal.signal(number, signal.SIG_IGN)
def plain(): note(); time.sleep(600)
def deaf(): deafen(); note(); time.sleep(600)
def own_session(): os.setsid(); deafen(); note(); time.sleep(600)
def daemon():
    os.setsid()
    if os.fork(): os._exit(0)
    deafen(); note(); time.sleep(600)
def stopped(): note(); os.kill(os.getpid(), signal.SIGSTOP); time.sleep(600)
def wiped():
    if os.fork(): time.sleep(600)  # its parent stays
    os.setsid(); shed_environment()
def shed():
    os.setsid()
    if os.fork(): os._exit(0)
    shed_environment()
def shed_environment():
    os.execve('/bin/sh', ['sh', '-c', 'trap "" TERM INT; echo $$ >> pids; while :; do sleep 60; done'], {})
def comet():
    os.setsid(); deafen(); note(); end = time.time() + 60
    while time.time() < end:
        if os.fork(): os._exit(0)
kinds = (plain, deaf, own_session, daemon, stopped, wiped, shed, comet)
for kind in kinds:
    if kind.__name__ not in os.environ.get('WITHOUT', '').split() and os.fork() == 0:
        kind(); os._exit(0)
expected = len(kinds) - len(os.environ.get('WITHOUT', '').split())
while not os.path.exists('pids') or len(open('pids').readlines()) < expected: time.sleep(0.01)
print('started', flush=True)
"""
)
COMETS = PY + (
    """
for _ in range(4):
    if os.fork() == 0:
        os.setsid()
        for number in (1, 2, 15): signal.signal(number, signal.SIG_IGN)
        end = time.time() + 40
        while time.time() < end:
            if os.fork(): os._exit(0)
        os._exit(0)
print('started', flush=True)
"""
)
ZOO_ENDS = ZOO + "sys.exit(0)\n"
ZOO_STAYS = ZOO + "time.sleep(600)\n"


class Rig:
    """An attempt folder of its own, and a way to run a script in it as claude."""

    def __init__(self, root: Path) -> None:
        self.root, self.folder, self.cwd = root, root / "attempt" / "1", root / "cwd"
        self.cwd.mkdir()
        self.marker = f"{TASK}{os.getpid()}/1"
        self.runs: list[Handle] = []

    def command(self, script: str, **changes: Any) -> dict[str, Any]:
        claude = self.root / "claude"
        claude.write_text(script)
        claude.chmod(0o700)
        command: dict[str, Any] = {
            "argv": [str(claude), "-p"],
            "env": {"PATH": os.environ["PATH"], processes.MARKER: self.marker},
            "cwd": str(self.cwd),
            "umask": 0o077,
            "tmpdir": str(self.folder / "tmp"),
            "marker": self.marker,
            "token": 7,
            "socket": str(self.root / "s"),
            "max_runtime_s": 60.0,
            "max_silence_s": 60.0,
            "max_tool_runtime_s": 60.0,
            "deadline_s": 60.0,
            "ladder_s": [0.3, 0.3, 0.3],
        }
        return command | changes

    def start(self, script: str, prompt: str = "hello", **changes: Any) -> Handle:
        run = launch(self.folder, self.command(script, **changes), prompt)
        self.runs.append(run)
        return run

    def started(self, script: str, **changes: Any) -> Handle:
        run = self.start(script, **changes)
        wait_until(lambda: "started" in self.stream(), what="the script has begun")
        return run

    def stream(self) -> str:
        try:
            return (self.folder / "stream.jsonl").read_text()
        except FileNotFoundError:
            return ""

    def pids(self) -> list[int]:
        return [int(line) for line in (self.cwd / "pids").read_text().split()]

    def alive(self) -> list[int]:
        fields = ((pid, processes._stat(pid)) for pid in self.pids())
        return [pid for pid, row in fields if row and row[0] not in "ZX"] + processes.marked(
            self.marker
        )


@pytest.fixture
def rig() -> Iterator[Rig]:
    with tempfile.TemporaryDirectory(prefix="b-", dir="/tmp", ignore_cleanup_errors=True) as root:
        made = Rig(Path(root))
        try:
            yield made
        finally:
            processes.sweep(lambda: processes.marked(made.marker), time.monotonic() + 5)
            for pid in made.pids() if (made.cwd / "pids").exists() else ():
                processes.send(pid, signal.SIGKILL)


def end_of(run: Handle) -> Exit:
    ended = run.wait(WITHIN_S)
    assert ended is not None, "the run has not ended"
    return ended


def test_a_run_that_ends_by_itself_is_written_down_whole(rig: Rig) -> None:
    before = time.time()
    ended = end_of(rig.start(SH + "cat; echo oops >&2; exit 3", prompt="what to do"))
    assert (ended.exit_code, ended.signal, ended.stopped) == (3, None, None)
    assert (ended.leftovers, ended.survivors, ended.spawn_error) == (0, 0, None)
    assert rig.stream() == "what to do"
    assert ended.stderr_tail == "oops"
    assert before <= (ended.started_at or 0) <= (ended.ended_at or 0) <= time.time()
    assert ended.max_rss_kb > 0
    assert not (rig.root / "s").exists()


@pytest.mark.skipif(not processes.LINUX, reason="reads /proc")
def test_a_runner_stays_below_twelve_mib(rig: Rig) -> None:
    run = rig.started(SLEEP)
    assert run.hold(7)
    status = Path(f"/proc/{run.pid}/status").read_text()
    assert int(status.partition("VmRSS:")[2].split()[0]) < 12 * 1024
    assert run.stop(7, "cancelled")
    end_of(run)


def test_only_the_owner_can_read_an_attempt(rig: Rig) -> None:
    old = os.umask(0)
    try:
        end_of(rig.start(SH + "echo hello"))
    finally:
        os.umask(old)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in rig.folder.iterdir()}
    assert {name for name, mode in modes.items() if mode & 0o077} == set()


def test_the_environment_holds_exactly_what_is_named(rig: Rig, monkeypatch: Any) -> None:
    monkeypatch.setenv("CLAUDECODE", "1")
    monkeypatch.setenv("SECRET_OF_THE_CONSUMER", "x")
    env = {
        "PATH": "/bin:/usr/bin",
        "ODD": "a b\n'ü\udcff",
        "EMPTY": "",
        processes.MARKER: "ignored",
    }
    end_of(rig.start(SH + "exec cat /proc/self/environ", env=env))
    raw = (rig.folder / "stream.jsonl").read_bytes().split(b"\0")
    seen = dict(line.split(b"=", 1) for line in raw if line)
    assert seen == {
        b"PATH": b"/bin:/usr/bin",
        b"ODD": b"a b\n'\xc3\xbc\xff",
        b"EMPTY": b"",
        processes.MARKER.encode(): rig.marker.encode(),
        b"PWD": seen[b"PWD"],  # the shell's own
    }


def test_no_value_of_the_environment_lies_in_a_file(rig: Rig) -> None:
    end_of(rig.start(SH + "exit 0", env={"PATH": os.environ["PATH"], "KEY": "sk-verysecret"}))
    command = json.loads((rig.folder / "command.json").read_text())
    assert command["env"] == ["KEY", "PATH"]
    for file in rig.folder.iterdir():
        assert b"sk-verysecret" not in file.read_bytes()


def test_no_descriptor_is_inherited(rig: Rig) -> None:
    leaked = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(leaked, True)
    try:
        listing = PY + "print(sorted(int(n) for n in os.listdir('/proc/self/fd')))"
        end_of(rig.start(listing))
    finally:
        os.close(leaked)
    assert rig.stream().strip() == "[0, 1, 2, 3]"  # 3 is the listing itself


def test_claude_has_its_own_session_no_terminal_and_ordinary_signals(rig: Rig) -> None:
    script = PY + (
        "print(os.getpid() == os.getsid(0) == os.getpgrp(), os.isatty(0), os.getcwd())\n"
        "print(oct(os.umask(0)))\n"
        "print(*[l.split()[1] for l in open('/proc/self/status') if l[:7] in ('SigBlk:', 'SigIgn:')])"
    )
    ignored = {number: signal.signal(number, signal.SIG_IGN) for number in (1, 2, 3, 20)}
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1])
    try:
        end_of(rig.start(script))
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM, signal.SIGUSR1])
        for number, handler in ignored.items():
            signal.signal(number, handler)
    session, umask, masks = rig.stream().splitlines()
    assert session == f"True False {rig.cwd}"
    assert umask == "0o77"
    blocked, ignoring = (int(mask, 16) for mask in masks.split())
    # Python itself ignores SIGPIPE and SIGXFSZ.
    assert (blocked, ignoring) == (0, 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1)


def test_a_prompt_of_a_megabyte_arrives_whole(rig: Rig) -> None:
    prompt = "äé\udcff" * 250_000
    end_of(rig.start(SH + "exec cat", prompt=prompt))
    assert (rig.folder / "stream.jsonl").read_bytes() == prompt.encode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"argv": ["/nowhere/claude"]}, "/nowhere/claude: No such file"),
        ({"argv": ["/etc/passwd"]}, "/etc/passwd: Permission denied"),
        ({"cwd": "/nowhere"}, "/nowhere: No such file"),
        ({"argv": ["/bin/echo", "a\0b"]}, "embedded null"),
        ({"socket": "/nowhere/s"}, "No such file"),
        ({"socket": "/tmp/" + "x" * 200}, "too long"),
        ({"deadline_s": "soon"}, "command.json"),
    ],
)
def test_what_cannot_start_says_why(rig: Rig, changes: dict[str, Any], words: str) -> None:
    ended = end_of(rig.start(SLEEP, **changes))
    assert ended.spawn_error is not None
    assert words in ended.spawn_error
    assert (ended.exit_code, ended.signal) == (None, None)


def test_nothing_survives_a_normal_end(rig: Rig) -> None:
    ended = end_of(rig.start(ZOO_ENDS))
    assert rig.alive() == []
    assert (ended.exit_code, ended.stopped, ended.survivors) == (0, None, 0)
    assert ended.leftovers >= 7  # the comet may be gone before it is counted
    assert len(rig.pids()) == 8


@pytest.mark.parametrize("reason", ["cancelled", "shutdown", "lost", "lingering", "gate"])
def test_nothing_survives_a_stop(rig: Rig, reason: str) -> None:
    run = rig.started(ZOO_STAYS)
    assert run.stop(7, reason)
    ended = end_of(run)
    assert rig.alive() == []
    assert (ended.stopped, ended.survivors) == (reason, 0)


def test_nothing_survives_a_crash_of_claude(rig: Rig) -> None:
    ended = end_of(rig.start(ZOO + "os.kill(os.getpid(), 9)\n"))
    assert rig.alive() == []
    assert (ended.exit_code, ended.signal) == (None, 9)


def test_nothing_survives_the_wall_clock(rig: Rig) -> None:
    ended = end_of(rig.start(ZOO_STAYS, max_runtime_s=1.0))
    assert rig.alive() == []
    assert ended.stopped == "timed_out"


def test_nothing_survives_the_end_of_the_deadline(rig: Rig) -> None:
    ended = end_of(rig.start(ZOO_STAYS, deadline_s=1.0))
    assert rig.alive() == []
    assert ended.stopped == "deadline"


def test_nothing_survives_a_killed_runner(rig: Rig) -> None:
    """Except what shed its ancestry and its environment: promise 5 says so."""
    run = rig.started(ZOO_STAYS, env={"PATH": os.environ["PATH"], "WITHOUT": "shed"})
    assert run.pid is not None
    os.kill(run.pid, signal.SIGKILL)
    ended = end_of(run)
    assert rig.alive() == []
    assert (ended.lost_runner, ended.exit_code, ended.signal) == (True, None, None)
    assert not (rig.folder / "tmp").exists()
    assert not (rig.root / "s").exists()


def test_those_that_fork_faster_than_we_look_are_caught(rig: Rig) -> None:
    ended = end_of(rig.start(COMETS + "time.sleep(0.2)"))
    assert ended.survivors == 0
    assert (ended.ended_at or 0) - (ended.started_at or 0) < 10
    assert processes.marked(rig.marker) == []


def test_those_that_fork_faster_than_we_look_are_caught_without_a_runner(rig: Rig) -> None:
    run = rig.started(COMETS + "time.sleep(600)")
    assert run.pid is not None
    os.kill(run.pid, signal.SIGKILL)
    assert end_of(run).survivors == 0
    for _ in range(20):
        assert processes.marked(rig.marker) == []


def test_a_sweep_by_marker_ends_what_a_killed_runner_left(rig: Rig) -> None:
    run = rig.started(ZOO_STAYS, env={"PATH": os.environ["PATH"], "WITHOUT": "shed comet"})
    assert run.pid is not None
    os.kill(run.pid, signal.SIGKILL)
    task = rig.marker.split("/")[0]
    assert processes.sweep_attempt(task, time.monotonic() + 5) >= 6
    assert rig.alive() == []


def test_a_killed_runner_takes_claude_with_it_even_without_a_consumer(rig: Rig) -> None:
    script = DEAF.replace("'started'", "'started', os.getpid()")
    run = rig.started(script)
    claude = int(rig.stream().split()[1])
    assert run.pid is not None
    os.kill(run.pid, signal.SIGKILL)
    wait_until(lambda: (processes._stat(claude) or "Z")[0] in "ZX", what="claude has ended")


def test_a_runner_that_starts_late_does_not_start_claude(rig: Rig) -> None:
    """A consumer may die between its fork and the runner's lock; the next one is told None."""
    run = rig.started(DEAF)
    assert run.pid is not None
    os.kill(run.pid, signal.SIGKILL)
    end_of(run)
    assert attach(rig.folder) is None
    size = len(rig.stream())
    late = subprocess.run([sys.executable, "-IS", str(handle.RUNNER), str(rig.folder)], check=False)
    assert late.returncode == 75
    assert len(rig.stream()) == size
    found = exit_of(rig.folder)
    assert found is not None
    assert found.lost_runner


def test_attaching_before_the_runner_has_its_lock_forbids_the_run(rig: Rig) -> None:
    rig.folder.mkdir(parents=True)
    written = rig.command(SLEEP) | {"env": []}
    (rig.folder / "command.json").write_text(json.dumps(written))
    assert attach(rig.folder) is None
    late = subprocess.run([sys.executable, "-IS", str(handle.RUNNER), str(rig.folder)], check=False)
    assert late.returncode == 75
    assert not (rig.folder / "stream.jsonl").exists()


def test_two_runners_never_share_a_folder(rig: Rig) -> None:
    run = rig.started(SLEEP)
    second = subprocess.run(
        [sys.executable, "-IS", str(handle.RUNNER), str(rig.folder)], check=False
    )
    assert second.returncode == 75
    assert run.stop(7, "cancelled")
    assert end_of(run).stopped == "cancelled"


def test_the_ladder_begins_with_sigint(rig: Rig) -> None:
    script = SH + 'trap "echo result; exit 0" INT\necho started\nwhile :; do sleep 0.05; done\n'
    run = rig.started(script, ladder_s=[10, 10, 0.3])
    run.stop(7, "cancelled")
    ended = end_of(run)
    assert (ended.exit_code, ended.stopped) == (0, "cancelled")
    assert "result" in rig.stream()


def test_the_ladder_goes_on_to_sigterm_and_sigkill(rig: Rig) -> None:
    run = rig.started(
        SH + 'trap "" INT\ntrap "exit 4" TERM\necho started\nwhile :; do sleep 0.05; done'
    )
    run.stop(7, "cancelled")
    assert end_of(run).exit_code == 4


def test_the_ladder_ends_a_claude_that_is_deaf(rig: Rig) -> None:
    run = rig.started(DEAF)
    run.stop(7, "cancelled")
    assert end_of(run).signal == signal.SIGKILL


def test_the_ladder_ends_a_claude_that_is_stopped(rig: Rig) -> None:
    script = PY + "print('started', os.getpid(), flush=True); time.sleep(600)"
    run = rig.started(script, ladder_s=[10, 10, 0.3])
    os.kill(int(rig.stream().split()[1]), signal.SIGSTOP)
    run.stop(7, "cancelled")
    assert end_of(run).signal in (None, signal.SIGINT)


def test_silence_is_measured_from_the_last_output(rig: Rig) -> None:
    script = SH + "for i in 1 2 3 4; do echo $i; sleep 0.5; done; exec sleep 600"
    begun = time.monotonic()
    ended = end_of(rig.start(script, max_silence_s=1.2))
    assert ended.stopped == "silent"
    assert time.monotonic() - begun > 2.0
    assert rig.stream().split() == ["1", "2", "3", "4"]


CALL = '{"type":"assistant","message":{"id":"m","content":[{"type":"tool_use","id":"a","name":"Bash"}]}}'


def test_a_tool_at_work_is_no_silence_but_has_a_limit_of_its_own(rig: Rig) -> None:
    script = SH + f"echo '{CALL}'; sleep 1; echo heartbeat; exec sleep 600"
    begun = time.monotonic()
    ended = end_of(rig.start(script, max_silence_s=0.5, max_tool_runtime_s=2.5))
    assert (ended.stopped, ended.tool) == ("tool_timed_out", "Bash")
    assert time.monotonic() - begun > 2.5


ASLEEP = """
import json, sys
from consumers import supervision
run = supervision.Supervision(json.loads(sys.argv[1]))
awake = supervision.boot_s
supervision.boot_s = lambda: awake() + 3600
run._check_limits()
print(run.stopped)
"""


@pytest.mark.parametrize(("deadline_s", "stopped"), [(15.0, "deadline"), (7200.0, "None")])
def test_a_sleep_of_the_machine_is_no_timeout_but_ends_the_deadline(
    rig: Rig, deadline_s: float, stopped: str
) -> None:
    command = rig.command("", deadline_s=deadline_s)
    done = subprocess.run(
        [sys.executable, "-c", ASLEEP, json.dumps(command)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == stopped


def test_the_clock_of_limits_stands_still_while_the_machine_sleeps() -> None:
    """So say clock_getres(2) and clock_gettime(3) of macOS of these two; no test can put a machine to sleep."""
    clock = time.get_clock_info("monotonic").implementation
    expected = "clock_gettime(CLOCK_MONOTONIC)" if processes.LINUX else "mach_absolute_time()"
    assert clock == expected


def test_a_hold_moves_the_deadline(rig: Rig) -> None:
    run = rig.started(SLEEP, deadline_s=1.5)
    begun = time.monotonic()
    while time.monotonic() - begun < 3.0:
        assert run.hold(7)
        assert run.wait(0.3) is None
    assert end_of(run).stopped == "deadline"


def test_a_late_word_does_not_revive_a_run_whose_deadline_is_over(rig: Rig) -> None:
    """A runner that was stopped, or slept with its machine, wakes past its deadline."""
    run = rig.started(SLEEP, deadline_s=1.0)
    assert run.hold(7)
    assert run.pid is not None
    os.kill(run.pid, signal.SIGSTOP)
    time.sleep(1.2)  # what the test is about is that time passes
    os.kill(run.pid, signal.SIGCONT)
    run.hold(7)
    assert end_of(run).stopped == "deadline"


def test_a_deadline_named_at_the_start_is_moved_only_by_a_later_one(rig: Rig) -> None:
    begun = boot_clock()
    run = rig.started(SLEEP, deadline_at=begun + 2.0)
    assert run.hold(7, begun + 3.0)
    assert run.hold(7, begun + 2.5)
    while run.wait(0.1) is None:
        assert run.hold(7, begun + 3.0) or boot_clock() >= begun + 3.0
    assert boot_clock() >= begun + 3.0
    assert end_of(run).stopped == "deadline"


def test_a_runner_that_starts_after_its_deadline_does_not_start_claude(rig: Rig) -> None:
    """Its consumer was stopped after the claim, and somebody else may have the lease by now."""
    run = rig.start(SLEEP, deadline_at=boot_clock() - 0.1)
    assert end_of(run).stopped == "deadline"
    assert not (rig.folder / "stream.jsonl").exists()


def test_only_the_highest_token_is_obeyed(rig: Rig) -> None:
    run = rig.started(SLEEP)
    assert not run.stop(6, "cancelled")
    other = attach(rig.folder)
    assert other is not None
    assert other.hold(9)
    assert not run.hold(7)
    assert not run.stop(8, "cancelled")
    assert run.poll() is None
    assert other.stop(9, "lost")
    ended = other.wait(WITHIN_S)
    assert ended is not None
    assert ended.stopped == "lost"
    assert end_of(run) == ended


def test_an_attached_handle_sees_the_end_at_once(rig: Rig) -> None:
    os.mkfifo(rig.cwd / "gate")
    run = rig.started(SH + "echo started; read x < gate; exit 5")
    other = attach(rig.folder)
    assert other is not None
    assert other.pid == run.pid
    assert other.wait(0.1) is None
    (rig.cwd / "gate").write_text("go\n")
    ended = other.wait(WITHIN_S)
    assert ended is not None
    assert ended.exit_code == 5
    assert time.time() - (ended.ended_at or 0) < 1.0
    assert attach(rig.folder) is None


def test_garbled_orders_are_answered_and_harm_nothing(rig: Rig) -> None:
    run = rig.started(SLEEP)
    lines = [
        b"nonsense",
        b"[1]",
        b'{"cmd":"stop"}',
        b'{"token":"9","cmd":"stop"}',
        b"{",
        b"\xff\xfe",
    ]
    lines += [b'{"token":7,"cmd":"dance"}', b'{"token":true,"cmd":"stop"}', b'{"a" 1}', b"[" * 9000]
    lines += [b'{"token":7,"cmd":"hold","until":"soon"}']
    with socket.socket(socket.AF_UNIX) as caller, socket.socket(socket.AF_UNIX) as idle:
        idle.connect(str(rig.root / "s"))
        caller.connect(str(rig.root / "s"))
        answers = caller.makefile("rb")
        for line in lines:
            caller.sendall(line + b"\n")
            answer = json.loads(answers.readline())
            assert answer["ok"] is False
            assert answer["error"]
        caller.sendall(b'{"token":7,')
        assert run.hold(7)
        caller.sendall(b'"cmd":"hold"}\n')
        assert json.loads(answers.readline())["ok"] is True
    for _ in range(3):  # one that goes away without reading its answer
        with socket.socket(socket.AF_UNIX) as rude:
            rude.connect(str(rig.root / "s"))
            rude.sendall(b"nonsense\n")
            assert select.select([rude], [], [], WITHIN_S)[0]
    with socket.socket(socket.AF_UNIX) as flood:
        flood.connect(str(rig.root / "s"))
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            flood.sendall(b"x" * 10_000_000)
    assert run.hold(7)
    assert run.poll() is None


def test_sigterm_to_the_runner_is_a_shutdown_and_ctrl_c_is_nothing(rig: Rig) -> None:
    run = rig.started(SLEEP)
    assert run.pid is not None
    for number in (signal.SIGINT, signal.SIGHUP):
        os.kill(run.pid, number)
    assert run.hold(7)
    assert run.wait(0.3) is None
    os.kill(run.pid, signal.SIGTERM)
    assert end_of(run).stopped == "shutdown"


def test_tmpdir_is_private_and_goes_with_the_run(rig: Rig) -> None:
    kept = rig.root / "kept"
    kept.mkdir()
    (kept / "precious").write_text("x")
    env = {"PATH": os.environ["PATH"], "TMPDIR": str(rig.folder / "tmp")}
    script = SH + (
        f'stat -c %a "$TMPDIR"; cd "$TMPDIR"; mkdir -p a/b; touch a/b/c; ln -s {kept} a/link\n'
        "chmod 0 a/b; chmod 0500 a\n"
    )
    end_of(rig.start(script, env=env))
    assert rig.stream() == "700\n"
    assert not (rig.folder / "tmp").exists()
    assert (kept / "precious").exists()


def test_a_link_in_place_of_tmpdir_is_not_followed(rig: Rig) -> None:
    kept = rig.root / "kept"
    kept.mkdir()
    (kept / "precious").write_text("x")
    env = {"PATH": os.environ["PATH"], "TMPDIR": str(rig.folder / "tmp")}
    end_of(rig.start(SH + f'rmdir "$TMPDIR"; ln -s {kept} "$TMPDIR"', env=env))
    assert (kept / "precious").exists()
    assert not (rig.folder / "tmp").is_symlink()


def test_a_tmpdir_that_exists_is_never_used_or_removed(rig: Rig) -> None:
    kept = rig.root / "kept"
    kept.mkdir()
    ended = end_of(rig.start(SLEEP, tmpdir=str(kept)))
    assert "kept: File exists" in (ended.spawn_error or "")
    assert kept.exists()


def test_a_process_is_told_from_a_later_one_with_its_number() -> None:
    started = processes.start_time(os.getpid())
    assert started is not None
    assert processes.alive(os.getpid(), started)
    assert not processes.alive(os.getpid(), str(int(started) + 1))
    child = subprocess.Popen(["/bin/sleep", "600"])
    born = processes.start_time(child.pid)
    assert born is not None
    child.kill()
    wait_until(lambda: not processes.alive(child.pid, born), what="a zombie counts as gone")
    child.wait()
    assert processes.start_time(child.pid) is None
    assert len(processes.boot_id()) == 36


def test_the_runner_is_small_and_sleeps(rig: Rig) -> None:
    run = rig.started(SLEEP)
    status = Path(f"/proc/{run.pid}/status").read_text().split()
    resident_kib = int(status[status.index("VmRSS:") + 1])
    assert resident_kib < 12 * 1024
