"""Files that somebody still writes to: before they are claimed, before they are sent, and under their task."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from durable.records import Record, State
from durable.store import LeaseStore
from producers import claims
from producers.finishing import MOST_AGAIN
from producers.intake import OPEN_FOR_S
from producers.writers import Writers, writers
from settings import Duration
from tests.conftest import wait_until
from tests.integration.test_watcher import Killed, Rig, die_at, told


class Writer:
    """Another process that has a file open for appending. `write` returns when the bytes are in the file."""

    def __init__(self, path: Path, first: bytes = b"one ") -> None:
        path.write_bytes(first)
        code = (
            "import os, sys\n"
            "out = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)\n"
            "print('open', flush=True)\n"
            "for line in sys.stdin:\n"
            "    os.write(out, line.rstrip('\\n').encode())\n"
            "    print('written', flush=True)\n"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-c", code, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._hear("open")

    def write(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text + "\n")
        self._process.stdin.flush()
        self._hear("written")

    def _hear(self, word: str) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == word + "\n"

    def close(self) -> None:
        self._process.communicate()


@pytest.fixture
def rig(tmp_path: Path, store: LeaseStore) -> Iterator[Rig]:
    rig = made(tmp_path, store)
    yield rig
    rig.watcher.folder.close()


def made(base: Path, store: LeaseStore, **fields: Any) -> Rig:
    rig = Rig(base, store, **fields)
    rig.step()
    return rig


@pytest.fixture
def writer(rig: Rig) -> Iterator[Writer]:
    writer = Writer(rig.inbox / "a.txt")
    yield writer
    writer.close()


@pytest.fixture
def blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where nobody can tell who has a file open: another system, another one's file, a network."""
    monkeypatch.setattr(claims, "writers", lambda descriptor: Writers.UNKNOWN)


@pytest.fixture
def sees() -> None:
    """Skips where the kernel does not say who writes."""
    with open(__file__, "rb") as file:
        if writers(file.fileno()) is Writers.UNKNOWN:
            pytest.skip("who has a file open cannot be told here")


def queued(rig: Rig) -> list[Record]:
    return rig.store.page(State.QUEUED)


def end_and_settle(rig: Rig) -> None:
    rig.end()
    rig.step()
    rig.step(2.0)


# -- where the kernel says who writes


@pytest.mark.usefixtures("sees")
def test_a_file_is_claimed_when_its_writer_closes_it_however_long_it_pauses(
    rig: Rig, writer: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    assert rig.settle() == []
    for _ in range(5):
        rig.step(30.0)
    assert rig.claimed == []
    [said] = [r.getMessage() for r in caplog.records if "open for writing" in r.getMessage()]
    assert said == "a.txt is open for writing in another program; waits until it is closed"
    writer.write("two")
    rig.watcher.bell.wait(0)
    writer.close()
    assert rig.watcher.bell.wait(5.0), "closing it rings"
    [_] = rig.settle()
    [claimed] = rig.claimed
    assert (claimed / "a.txt").read_bytes() == b"one two"


@pytest.mark.usefixtures("sees")
def test_the_end_of_a_writer_opens_the_way_too(rig: Rig, writer: Writer) -> None:
    assert rig.settle() == []
    writer._process.kill()
    writer._process.wait()
    assert len(rig.settle()) == 1


@pytest.mark.usefixtures("sees")
def test_asking_harms_neither_us_nor_who_opens_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("x")
    descriptor = os.open(path, os.O_RDONLY)
    assert writers(descriptor) is Writers.NONE
    with path.open("a") as file:
        assert writers(descriptor) is Writers.SOME
        assert file.write("y")
    assert writers(descriptor) is Writers.NONE
    os.close(descriptor)


@pytest.mark.usefixtures("sees")
def test_a_file_that_nobody_closes_is_taken_after_an_hour_and_what_comes_later_is_seen(
    rig: Rig, writer: Writer
) -> None:
    rig.settle()
    rig.step(OPEN_FOR_S)
    [first] = queued(rig)
    writer.write("two")
    rig.end()
    assert not rig.done.exists(), "it waits for the writer"
    writer.close()
    rig.step(1.5)
    rig.step()
    rig.step(2.0)
    [second] = queued(rig)
    assert second.id != first.id
    rig.end()
    assert rig.done.joinpath("a.txt").read_bytes() == b"one two"


@pytest.mark.usefixtures("sees")
@pytest.mark.parametrize("edits", [False, True])
def test_a_task_that_changes_its_own_file_is_not_run_again(
    tmp_path: Path, store: LeaseStore, edits: bool
) -> None:
    rig = made(tmp_path, store, edits=edits)
    rig.drop("a.txt")
    rig.settle()
    lease: Any = store.claim("tester", "n", ["default"], 30_000)
    started_ms = store.now_ms()
    path = rig.claimed[0] / "a.txt"
    path.write_bytes(b"done by the task")
    if edits:  # whenever it looks as if it had been changed
        os.utime(path, (1, 1))
    else:
        wait_until(lambda: store.now_ms() > started_ms + 5, what="time passes")
    store.settle(lease, State.SUCCEEDED, outcome="succeeded")
    rig.step(1.5)
    rig.step(3.0)
    assert rig.done.joinpath("a.txt").read_bytes() == b"done by the task"
    assert queued(rig) == []
    rig.watcher.folder.close()


# -- where it does not


@pytest.mark.usefixtures("blind")
def test_what_a_writer_adds_to_the_claimed_file_becomes_a_task_with_all_of_it(
    rig: Rig, writer: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    [first] = rig.settle()
    assert rig.said(first)["context"]["size"] == 4
    writer.write("two")
    rig.end()
    assert "has changed since task" in caplog.text
    rig.step()
    writer.write(" three")
    rig.step(2.0)
    assert queued(rig) == [], "it is not quiet yet"
    rig.step(2.0)
    [second] = queued(rig)
    context = rig.said(second)["context"]
    assert (context["size"], context["after"]) == (len(b"one two three"), first.id)
    assert told(rig)[0] == ("again", "a.txt")
    assert "it changed after task" in rig.store.journal("watcher:inbox")[0].why
    rig.end()
    assert [path.name for path in rig.done.iterdir()] == ["a.txt"]
    assert rig.done.joinpath("a.txt").read_bytes() == b"one two three"
    assert rig.claimed == []
    assert rig.store.record(first.id).state is State.SUCCEEDED  # type: ignore[union-attr]


def rewrite_at_once(path: Path) -> None:
    now = path.stat()
    path.write_bytes(b"HELLO")
    os.utime(path, ns=(now.st_atime_ns, now.st_mtime_ns))


CHANGES: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: os.truncate(path, 1),
    "rewritten in the same size": lambda path: path.write_bytes(b"HELLO"),
    "rewritten within the same tick": rewrite_at_once,
}


@pytest.mark.usefixtures("blind")
@pytest.mark.parametrize("how", list(CHANGES))
@pytest.mark.parametrize("done", ["Done", "delete", "leave"])
def test_whatever_changes_the_content_is_seen_and_no_unread_byte_is_deleted(
    tmp_path: Path, store: LeaseStore, how: str, done: str
) -> None:
    rig = made(tmp_path, store, done=tmp_path / done if done == "Done" else done)
    rig.drop("a.txt")
    rig.settle()
    path = rig.claimed[0] / "a.txt"
    CHANGES[how](path)
    content = path.read_bytes()
    rig.end()
    rig.step()
    rig.step(2.0)
    [task] = queued(rig)
    assert rig.inbox.joinpath(".claimed", task.id, "a.txt").read_bytes() == content
    rig.watcher.folder.close()


@pytest.mark.usefixtures("blind")
def test_another_time_or_mode_without_another_content_is_no_change(rig: Rig) -> None:
    rig.drop("a.txt")
    rig.settle()
    path = rig.claimed[0] / "a.txt"
    os.utime(path, (1, 1))
    path.chmod(0o600)
    rig.end()
    assert rig.done.joinpath("a.txt").exists()
    rig.step(3.0)
    assert queued(rig) == []


@pytest.mark.usefixtures("blind")
def test_a_cancelled_task_is_not_run_again_for_its_file_changed(rig: Rig) -> None:
    rig.drop("a.txt")
    rig.settle()
    (rig.claimed[0] / "a.txt").write_bytes(b"more")
    rig.end(State.CANCELLED)
    rig.step(3.0)
    assert queued(rig) == []
    assert rig.failed.joinpath("a.txt").read_bytes() == b"more"


@pytest.mark.usefixtures("blind")
def test_a_file_that_grows_under_every_task_is_put_aside_in_the_end(rig: Rig) -> None:
    rig.drop("log")
    rig.settle()
    for number in range(MOST_AGAIN + 1):
        with (rig.claimed[0] / "log").open("ab") as file:
            file.write(b"line")
        rig.end()
        rig.restart()  # the bound outlives the process
        rig.step(1.5)
        rig.step(2.0)
        assert len(queued(rig)) == (number < MOST_AGAIN)
    rig.step(1.5)
    assert rig.failed.joinpath("log").read_bytes() == b"hello" + b"line" * (MOST_AGAIN + 1)
    assert "no task has seen" in rig.failed.joinpath("log.why.txt").read_text()
    assert rig.claimed == []


@pytest.mark.usefixtures("blind")
def test_a_task_s_own_changes_are_told_by_the_configuration(
    tmp_path: Path, store: LeaseStore
) -> None:
    rig = made(tmp_path, store, edits=True, done="delete")
    rig.drop("a.txt")
    rig.settle()
    (rig.claimed[0] / "a.txt").write_bytes(b"edited")
    rig.end()
    rig.step(1.5)
    assert queued(rig) == []
    assert rig.failed.joinpath("a.txt").read_bytes() == b"edited"
    assert "not deleted" in rig.failed.joinpath("a.txt.why.txt").read_text()
    rig.watcher.folder.close()


def test_a_file_that_changes_while_it_is_read_waits_until_it_is_quiet_and_is_read_anew(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = claims._sha256

    def slow(descriptor: int, stopped: Callable[[], bool], size: int) -> str:
        digest = really(descriptor, stopped, size)
        with (rig.claimed[0] / "a.txt").open("ab") as file:
            file.write(b" more")
        return digest

    monkeypatch.setattr(claims, "_sha256", slow)
    rig.drop("a.txt")
    assert rig.settle() == []
    monkeypatch.undo()
    assert rig.step(1.0) <= 1.0
    assert queued(rig) == []
    rig.step(2.0)
    rig.step(2.0)
    [task] = queued(rig)
    assert rig.said(task)["context"]["size"] == len(b"hello more")


@pytest.mark.usefixtures("blind")
def test_settle_0_sees_additions_as_well(tmp_path: Path, store: LeaseStore) -> None:
    rig = made(tmp_path, store, settle=Duration(0))
    writer = Writer(rig.inbox / "a.txt")
    rig.step()
    writer.write("two")
    rig.end()
    rig.step(0.1)
    assert len(queued(rig)) == 1
    rig.end()
    assert rig.done.joinpath("a.txt").read_bytes() == b"one two"
    writer.close()
    rig.watcher.folder.close()


@pytest.mark.usefixtures("blind")
@pytest.mark.parametrize("point", ["final", "renewing", "renewed", "hashed", "submitted"])
@pytest.mark.parametrize("name", [b"a.txt", b"caf\xe9\n.txt"])
def test_a_crash_at_any_point_of_running_it_again_loses_nothing_and_doubles_nothing(
    rig: Rig, point: str, name: bytes
) -> None:
    rig.drop(name)
    [first] = rig.settle()
    claimed = next(p for p in rig.claimed[0].iterdir() if not p.name.startswith("."))
    claimed.write_bytes(b"hello and more")
    rig.faults = die_at(point)
    with pytest.raises(Killed):
        end_and_settle(rig)
    rig.faults = lambda _: None
    rig.restart()
    rig.step()
    for _ in range(3):
        rig.step(2.0)
    [second] = queued(rig)
    assert second.id != first.id
    assert rig.said(second)["context"]["size"] == len(b"hello and more")
    rig.end()
    rig.step(2.0)
    assert os.listdir(os.fsencode(rig.done)) == [name]
    assert rig.done.joinpath(os.fsdecode(name)).read_bytes() == b"hello and more"
    assert rig.claimed == []


@pytest.mark.usefixtures("blind")
def test_what_is_added_between_the_submit_and_a_crash_is_seen_too(rig: Rig) -> None:
    rig.drop("a.txt")
    rig.step()
    rig.faults = die_at("submitted")
    with pytest.raises(Killed):
        rig.step(2.0)
    rig.faults = lambda _: None
    [first] = queued(rig)
    with (rig.claimed[0] / "a.txt").open("ab") as file:
        file.write(b" more")
    rig.restart()
    rig.step()
    rig.end()
    rig.step()
    rig.step(2.0)
    [second] = queued(rig)
    assert second.id != first.id
