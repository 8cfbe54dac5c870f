"""`./baton retry` of a task whose file was put away: the file is back before the task runs, or it is said why not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from durable import identity
from durable.records import State, Submission
from durable.store import LeaseStore
from tests.conftest import ROOT, wait_until
from tests.integration.test_watcher import Killed, Rig, die_at
from tests.integration.test_watcher import elsewhere as elsewhere  # a fixture
from tests.site import Site

NAMES = [b"a.txt", b"caf\xe9\n.txt"]


@pytest.fixture
def rig(tmp_path: Path, store: LeaseStore) -> Iterator[Rig]:
    rig = Rig(tmp_path, store)
    rig.step()
    yield rig
    rig.watcher.folder.close()


def failed(rig: Rig, name: str | bytes = "a.txt", content: bytes = b"hello") -> str:
    """The id of a task that has failed, its file put away."""
    rig.drop(name, content)
    [task] = rig.settle()
    rig.end(State.FAILED)
    return task.id


def in_claim(rig: Rig, task_id: str) -> list[bytes]:
    folder = rig.inbox / ".claimed" / task_id
    if not folder.exists():
        return []
    return [path.read_bytes() for path in folder.iterdir() if not path.name.startswith(".")]


@pytest.mark.parametrize("name", NAMES)
def test_a_retried_task_finds_its_file_where_its_prompt_says(rig: Rig, name: bytes) -> None:
    rig.failed.mkdir()
    (rig.failed / os.fsdecode(name)).write_bytes(b"another one's")
    task_id = failed(rig, name)
    path = Path(rig.said(rig.store.record(task_id))["prompt"].removeprefix("Read "))  # type: ignore[arg-type]
    assert not path.exists()
    assert rig.store.want(task_id) is State.FAILED
    rig.step()
    assert [task.id for task in rig.store.page(State.QUEUED)] == [task_id]
    assert path.read_bytes() == b"hello"
    rig.end()
    assert os.listdir(os.fsencode(rig.done)) == [name]
    assert os.listdir(os.fsencode(rig.failed)) == [name]
    assert rig.claimed == []


def test_it_may_fail_and_be_retried_again_and_again(rig: Rig) -> None:
    task_id = failed(rig)
    for _ in range(3):
        rig.store.want(task_id)
        rig.step()
        assert in_claim(rig, task_id) == [b"hello"]
        rig.end(State.FAILED)
        assert in_claim(rig, task_id) == []
        assert [path.name for path in rig.failed.iterdir()] == ["a.txt"]


def test_each_of_many_of_one_name_gets_its_own_file_back(rig: Rig) -> None:
    ids = [failed(rig, "a.txt", content) for content in (b"1", b"2", b"3")]
    for task_id in reversed(ids):
        rig.store.want(task_id)
    rig.step()
    assert [in_claim(rig, task_id) for task_id in ids] == [[b"1"], [b"2"], [b"3"]]


def test_a_task_that_is_retried_before_its_file_was_put_away_runs_with_it(rig: Rig) -> None:
    rig.drop("a.txt")
    [task] = rig.settle()
    lease: Any = rig.store.claim("tester", "n", ["default"], 30_000)
    rig.store.settle(lease, State.FAILED, outcome="crashed")
    rig.store.want(task.id)
    rig.step()
    assert rig.store.record(task.id).state is State.QUEUED  # type: ignore[union-attr]
    assert in_claim(rig, task.id) == [b"hello"]


def test_a_file_that_has_gone_or_changed_is_said_and_nothing_runs(rig: Rig) -> None:
    gone = failed(rig)
    (rig.failed / "a.txt").unlink()
    changed = failed(rig, "b.txt")
    (rig.failed / "b.txt").write_bytes(b"corrected")
    for task_id in (gone, changed):
        rig.store.want(task_id)
    rig.step()
    records = rig.store.records([gone, changed])
    assert [record.state for record in records if record] == [State.FAILED] * 2
    words = [record.refused for record in records if record]
    assert words[0] == f"its file is no longer at {rig.failed}/a.txt"
    assert "another content" in words[1]
    assert rig.store.wanted("watcher:inbox") == {}
    assert rig.claimed == []
    assert (rig.failed / "b.txt").read_bytes() == b"corrected"


def test_a_task_that_was_pruned_or_requeued_meanwhile_is_wanted_no_more(rig: Rig) -> None:
    task_id = failed(rig)
    rig.store.want(task_id)
    rig.store.client.delete(f"{rig.store.prefix}task:{task_id}")
    rig.step()
    assert rig.store.wanted("watcher:inbox") == {}
    assert (rig.failed / "a.txt").exists()


def test_the_way_back_leads_across_file_systems(rig: Rig, elsewhere: Path) -> None:
    os.rmdir(rig.failed) if rig.failed.exists() else None
    rig.failed.symlink_to(elsewhere)
    task_id = failed(rig)
    assert [path.name for path in elsewhere.iterdir()] == ["a.txt"]
    rig.store.want(task_id)
    rig.step()
    assert in_claim(rig, task_id) == [b"hello"]
    assert list(elsewhere.iterdir()) == []


def test_what_else_lies_in_failed_under_the_name_of_a_file_stops_nothing(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    """A watcher that was killed before it noted the place looks for it among all of that name."""
    rig.drop("a.txt")
    rig.settle()
    rig.failed.mkdir(exist_ok=True)
    (rig.base / "mine").write_text("hello")
    (rig.failed / "a.txt").symlink_to(rig.base / "mine")
    rig.faults = die_at("put-away")
    with pytest.raises(Killed):
        rig.end(State.FAILED)
    rig.faults = lambda point: None
    rig.restart()
    rig.step()
    assert rig.claimed == []
    [task] = rig.store.page(State.FAILED)
    assert json.loads(task.file)["path"] == f"{rig.failed}/a (2).txt"
    assert "trying again" not in caplog.text


def test_a_wish_waits_until_the_record_knows_where_the_file_was_put(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.drop("a.txt")
    [task] = rig.settle()

    def away(files: object) -> int:
        raise redis.ConnectionError("away")

    monkeypatch.setattr(rig.store, "placed", away)
    rig.end(State.FAILED)
    assert (rig.failed / "a.txt").exists()
    monkeypatch.undo()
    rig.store.want(task.id)
    rig.step(10.0)
    rig.step(10.0)
    assert rig.store.record(task.id).refused == ""  # type: ignore[union-attr]
    assert rig.store.record(task.id).state is State.QUEUED  # type: ignore[union-attr]
    assert in_claim(rig, task.id) == [b"hello"]


def test_a_name_that_was_only_reserved_before_a_crash_is_not_taken_for_the_file(rig: Rig) -> None:
    """Without hard links an empty file holds the name until the real one replaces it."""
    task_id = failed(rig)
    claim = rig.inbox / ".claimed" / task_id
    claim.mkdir()
    (claim / "a.txt").touch()
    rig.store.want(task_id)
    rig.step()
    assert in_claim(rig, task_id) == [b"hello"]
    assert rig.store.record(task_id).state is State.QUEUED  # type: ignore[union-attr]
    assert not (rig.failed / "a.txt").exists()


@pytest.mark.parametrize(
    ("field", "name"),
    [("file", "../../evil"), ("name", "../../evil"), ("path", "evil"), ("path", "/evil\0")],
)
def test_a_place_that_somebody_changed_in_redis_leads_nowhere_else(
    rig: Rig, field: str, name: str
) -> None:
    task_id = failed(rig)
    said = json.loads(rig.store.record(task_id).file)  # type: ignore[union-attr]
    rig.store.placed({task_id: json.dumps({**said, field: name})})
    rig.store.want(task_id)
    rig.step()
    assert "not known where" in rig.store.record(task_id).refused  # type: ignore[union-attr]
    assert (rig.failed / "a.txt").read_bytes() == b"hello"
    assert list(rig.base.rglob("evil")) == []


def test_an_id_in_redis_that_is_no_watcher_s_makes_no_folder(rig: Rig) -> None:
    task_id = "../../evil"
    rig.store.submit([Submission(id=task_id, body=b"{}", source="watcher:inbox")])
    lease: Any = rig.store.claim("tester", "n", ["default"], 30_000)
    rig.store.settle(lease, State.FAILED, outcome="crashed")
    place = {"path": f"{rig.base}/mine", "name": "a", "file": "a", "sha256": "", "host": "x"}
    (rig.base / "mine").write_text("mine")
    rig.store.placed({task_id: json.dumps(place)})
    rig.store.want(task_id)
    rig.step()
    assert rig.store.wanted("watcher:inbox") == {}
    assert list(rig.base.rglob("evil")) == []
    assert (rig.base / "mine").exists()


def test_a_machine_that_is_called_something_else_now_knows_its_files(
    tmp_path: Path, store: LeaseStore
) -> None:
    rig = Rig(tmp_path, store, queue="host:before")
    rig.step()
    rig.drop("a.txt")
    [task] = rig.settle()
    lease: Any = store.claim("tester", "n", ["host:before"], 30_000)
    store.settle(lease, State.FAILED, outcome="crashed")
    rig.step(1.5)
    later = Rig(tmp_path, store, queue="host:after")
    store.want(task.id)
    later.step()
    assert in_claim(later, task.id) == [b"hello"]
    assert store.wanted("watcher:inbox") == {}


def test_a_file_that_its_claimer_has_not_put_away_yet_is_left_to_it(
    tmp_path: Path, store: LeaseStore
) -> None:
    """In a shared folder any watcher may answer, but not for what another one is just about to move."""
    one, two = (Rig(tmp_path, store, shared=True) for _ in range(2))
    one.step()
    two.step()
    one.drop("a.txt")
    [task] = one.settle()
    lease: Any = store.claim("tester", "n", ["default"], 30_000)
    store.settle(lease, State.FAILED, outcome="crashed")
    store.want(task.id)
    two.step(30.0)
    assert store.wanted("watcher:inbox") == {task.id: False}
    one.step()
    assert store.record(task.id).state is State.QUEUED  # type: ignore[union-attr]
    assert in_claim(one, task.id) == [b"hello"]


def test_another_machine_s_watcher_of_the_same_name_leaves_a_wish_alone(
    tmp_path: Path, store: LeaseStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two machines with an inbox each: what lies in the one's Failed, the other cannot know of."""
    rigs = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(identity.PRETEND, name)
        rigs.append(Rig(tmp_path / name, store, queue=f"host:{name}"))
        rigs[-1].step()
    one, two = rigs
    monkeypatch.setenv(identity.PRETEND, "one")
    one.drop("a.txt")
    [task] = one.settle()
    lease: Any = store.claim("tester", "n", ["host:one"], 30_000)
    store.settle(lease, State.FAILED, outcome="crashed")
    for put_away in (False, True):
        if put_away:
            one.step(1.5)
            assert (one.failed / "a.txt").exists()
        store.want(task.id)
        monkeypatch.setenv(identity.PRETEND, "two")
        two.step(30.0)
        assert store.wanted("watcher:inbox") == {task.id: False}
        assert store.record(task.id).refused == ""  # type: ignore[union-attr]
        monkeypatch.setenv(identity.PRETEND, "one")
        if not put_away:
            store.refuse("watcher:inbox", task.id, "")
    one.step(30.0)
    assert store.record(task.id).state is State.QUEUED  # type: ignore[union-attr]
    assert in_claim(one, task.id) == [b"hello"]


@pytest.mark.parametrize("point", ["put-away", "lodged", "moved-back", "brought-back"])
@pytest.mark.parametrize("name", NAMES)
def test_a_crash_on_either_way_loses_nothing_and_doubles_nothing(
    rig: Rig, point: str, name: bytes
) -> None:
    rig.drop(name)
    [task] = rig.settle()
    if point in ("put-away", "lodged"):
        rig.faults = die_at(point)
        with pytest.raises(Killed):
            rig.end(State.FAILED)
    else:
        rig.end(State.FAILED)
        rig.faults = die_at(point)
        rig.store.want(task.id)
        with pytest.raises(Killed):
            rig.step()
    assert rig.store.record(task.id).state is State.FAILED  # type: ignore[union-attr]
    rig.faults = lambda _: None
    rig.restart()
    rig.step()
    rig.step(2.0)
    rig.store.want(task.id)
    rig.step()
    rig.step(2.0)
    assert rig.store.wanted("watcher:inbox") == {}
    assert [queued.id for queued in rig.store.page(State.QUEUED)] == [task.id]
    assert in_claim(rig, task.id) == [b"hello"]
    assert list(rig.failed.iterdir()) == []
    rig.end()
    assert os.listdir(os.fsencode(rig.done)) == [name]
    assert rig.claimed == []


@pytest.mark.parametrize("step", ["link", "sync"])
def test_a_crash_within_the_move_back_is_finished(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    task_id = failed(rig)
    rig.store.want(task_id)

    def crash(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(f"producers.putaway.{'sync_folder' if step == 'sync' else '_place'}", crash)
        with pytest.raises(Killed):
            rig.step()
    rig.restart()
    rig.step()
    assert in_claim(rig, task_id) == [b"hello"]
    assert list(rig.failed.iterdir()) == []
    assert rig.store.record(task_id).state is State.QUEUED  # type: ignore[union-attr]


# -- the real thing: the command line, the watcher, a consumer

TASKS = """
from pathlib import Path
from tasks import huey

@huey.task()
def reads(path):
    text = Path(path).read_text()
    if not Path(__file__).with_name("ready").exists():
        raise RuntimeError("not ready for " + text)
    return text
"""


@pytest.fixture
def site(short_tmp: Path) -> Iterator[Site]:
    (short_tmp / "my_tasks.py").write_text(TASKS)
    inbox = {"path": "Inbox", "settle": 0, "task": "reads"}
    swept = {**inbox, "path": "Swept", "done": "delete"}
    site = Site(short_tmp, {"watchers": {"inbox": inbox, "swept": swept}, "tasks": ["my_tasks"]})
    site.start("redis")
    yield site
    site.close()


def baton(site: Site, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", *words],
        env=site.env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


def ended(site: Site, state: State, count: int = 1) -> list[str]:
    store = site.store
    wait_until(lambda: len(store.page(state)) >= count, 30, f"{count} are {state}")
    return [record.id for record in store.page(state)]


def test_retry_works_from_the_command_line_to_the_end(site: Site) -> None:
    site.start("watch", "inbox")
    site.start("watch", "swept")
    site.start("consumer", "1")
    (site.folder / "Inbox/a.txt").write_text("the text")
    [task_id] = ended(site, State.FAILED)
    aside = site.folder / "Failed/a.txt"
    wait_until(lambda: site.store.record(task_id).file, what="it is put away")  # type: ignore[union-attr]
    aside.rename(site.folder / "kept")
    refused = baton(site, "retry", task_id)
    assert refused.returncode == 1
    assert f"its file is no longer at {aside}" in " ".join(refused.stderr.split())
    (site.folder / "kept").rename(aside)

    site.kill("watch-inbox")
    (site.folder / "ready").touch()
    waits = baton(site, "retry", task_id)
    assert waits.returncode == 0
    assert "as soon as watcher:inbox has brought its file back" in " ".join(waits.stdout.split())
    assert site.store.record(task_id).state is State.FAILED  # type: ignore[union-attr]
    site.start("watch", "inbox")
    site.wait_for(task_id, State.SUCCEEDED)
    wait_until((site.folder / "Done/a.txt").exists, what="the file is in Done")
    again = baton(site, "retry", task_id)
    assert again.returncode == 1
    assert "its file went to" in again.stderr

    (site.folder / "Swept/b.txt").write_text("x")
    [swept] = set(ended(site, State.SUCCEEDED, 2)) - {task_id}
    assert "was deleted" in baton(site, "retry", swept).stderr


def test_retry_is_answered_at_once_by_a_watcher_that_is_idle(site: Site) -> None:
    site.start("watch", "inbox")
    consumer = site.start("consumer", "1")
    (site.folder / "Inbox/a.txt").write_text("the text")
    [task_id] = ended(site, State.FAILED)
    wait_until(lambda: site.store.record(task_id).file, what="it is put away")  # type: ignore[union-attr]
    consumer.send_signal(signal.SIGSTOP)
    try:
        done = baton(site, "retry", task_id, "--json")
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        assert (said["id"], said["was"]) == (task_id, "failed")
        assert site.store.record(task_id).state in (State.QUEUED, State.RUNNING)  # type: ignore[union-attr]
        found = site.folder / f"Inbox/.claimed/{task_id}/a.txt"
        assert found.read_text() == "the text"
    finally:
        consumer.send_signal(signal.SIGCONT)
