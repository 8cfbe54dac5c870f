"""A live runner is told from what looks like one: a reused pid, a reboot, a socket, another pid namespace."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from consumers import leftovers, processes
from consumers.handle import Handle, attach, began_here, exit_of
from durable import identity
from tests.conftest import ROOT, wait_until
from tests.integration.test_runner import SLEEP, Rig, end_of, rig

__all__ = ["rig"]
pytestmark = pytest.mark.skipif(not processes.LINUX, reason="reads /proc to see what is left")


@pytest.fixture
def task(rig: Rig) -> str:
    """The id under which leftovers finds the attempt of the rig."""
    task_id = rig.marker.partition("/")[0]
    rig.folder = rig.root / "var" / "attempts" / task_id / "1"
    return task_id


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has nothing to do with Baton."""
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def killed(run: Handle) -> None:
    """SIGKILL to a runner, which then has no time to tidy up."""
    assert run.pid is not None
    os.kill(run.pid, signal.SIGKILL)
    assert run._process is not None
    run._process.wait()


def test_a_pid_that_is_somebody_else_s_now_is_neither_believed_nor_harmed(
    rig: Rig, stranger: subprocess.Popen[bytes]
) -> None:
    killed(rig.started(SLEEP))
    facts = json.loads((rig.folder / "runner.json").read_text()) | {"pid": stranger.pid}
    (rig.folder / "runner.json").write_text(json.dumps(facts))
    assert began_here(rig.folder)
    assert attach(rig.folder) is None
    ended = exit_of(rig.folder)
    assert ended is not None
    assert ended.lost_runner
    assert stranger.poll() is None
    assert not processes.marked(rig.marker)


def test_a_run_of_another_boot_did_not_begin_here(rig: Rig) -> None:
    killed(rig.started(SLEEP))
    facts = json.loads((rig.folder / "runner.json").read_text())
    assert began_here(rig.folder)
    (rig.folder / "runner.json").write_text(json.dumps(facts | {"boot_id": "another boot"}))
    assert not began_here(rig.folder)
    assert attach(rig.folder) is None


def test_a_socket_at_which_nobody_listens_is_no_runner(rig: Rig) -> None:
    run = rig.started(SLEEP)
    killed(run)
    assert (rig.root / "s").exists()
    again = Handle(rig.folder, json.loads((rig.folder / "command.json").read_text()))
    begun = time.monotonic()
    assert not again.hold(8)
    assert not again.stop(8, "lost")
    assert time.monotonic() - begun < 2.0  # the lock says at once that nobody will listen any more
    assert attach(rig.folder) is None


@pytest.mark.parametrize(
    "says", [b'{"ok": true}\n', b"nonsense\n", b""], ids=["yes", "junk", "nothing"]
)
def test_a_stranger_that_listens_at_the_socket_is_no_runner(rig: Rig, says: bytes) -> None:
    """Whatever it answers: the lock alone says whether the runner lives."""
    killed(rig.started(SLEEP))
    (rig.root / "s").unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(rig.root / "s"))
        listener.listen(16)
        threading.Thread(target=_answer, args=(listener, says), daemon=True).start()
        again = Handle(rig.folder, json.loads((rig.folder / "command.json").read_text()))
        again.hold(8)
        ended = again.wait(5)
        assert ended is not None
        assert ended.lost_runner
        assert attach(rig.folder) is None


def _answer(listener: socket.socket, says: bytes) -> None:
    while True:
        try:
            connection, _ = listener.accept()
            connection.recv(4096)
            connection.sendall(says)
            if not says:  # it keeps the caller waiting
                threading.Timer(10, connection.close).start()
        except OSError:
            return


def test_a_run_that_was_taken_over_obeys_who_has_the_newest_lease(rig: Rig, task: str) -> None:
    """An order with the token that it was started under would be refused, and the ladder skipped."""
    run = rig.started(SLEEP)
    assert run.hold(9)  # another consumer has adopted it
    begun = time.monotonic()
    assert leftovers.end_runs(rig.root / "var", task, 12) == 0
    assert time.monotonic() - begun < leftovers.LADDER_S
    assert end_of(run).stopped == "lost"


IN_A_NAMESPACE = """\
import json, sys
from pathlib import Path
from consumers import handle, leftovers, processes
from durable import identity
var, task = Path(sys.argv[1]), sys.argv[2]
run = handle.attach(var / "attempts" / task / "1")
print(json.dumps({
    "attached": run is not None, "held": run is not None and run.hold(9), "owner": identity.owner(var, "consumer-2"),
    "seen": processes.marked(task), "ended": leftovers.end_runs(var, task, 12),
}))
"""


def namespaced(*words: str) -> dict[str, Any]:
    """What the program says from a pid namespace of its own, as a container that shares the state folder has it."""
    user = [] if os.getuid() == 0 else ["--user", "--map-root-user"]
    unshare = ["unshare", *user, "--pid", "--fork", "--mount-proc"]
    if not shutil.which("unshare") or subprocess.run([*unshare, "true"], check=False).returncode:
        pytest.skip("this machine lets nobody make a pid namespace")
    done = subprocess.run(
        [*unshare, sys.executable, "-c", IN_A_NAMESPACE, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_from_another_pid_namespace_a_run_is_seen_by_its_lock_and_ended_by_its_socket(
    rig: Rig, task: str
) -> None:
    run = rig.started(SLEEP)
    found = namespaced(str(rig.root / "var"), task)
    assert (found["attached"], found["held"]) == (True, True)
    assert found["seen"] == []  # the processes themselves are invisible there
    assert end_of(run).stopped == "lost"
    wait_until(lambda: not processes.marked(rig.marker), what="nothing of it is left")
    here = identity.owner(rig.root / "var", "consumer-1")
    assert found["owner"].rpartition(":")[0] != here.rpartition(":")[0]  # so it adopts none of ours


def test_a_runner_that_ended_is_seen_from_another_pid_namespace(rig: Rig, task: str) -> None:
    killed(rig.started(SLEEP))
    found = namespaced(str(rig.root / "var"), task)
    assert found["attached"] is False
    ended = exit_of(rig.folder)
    assert ended is not None
    assert ended.lost_runner
