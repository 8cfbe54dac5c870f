"""A folder that several machines watch: each drop is one task, whoever dies, and ends up in one place."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from durable import identity
from durable.records import Lease, State
from durable.store import LeaseStore
from producers import others
from tests.conftest import PrivateServer, wait_until
from tests.integration.test_watcher import Killed, Rig, die_at, told
from tests.site import Site

FILES, KILLS = 300, 12


@pytest.fixture
def rigs(tmp_path: Path, store: LeaseStore) -> Iterator[tuple[Rig, Rig]]:
    """Two watchers of one folder, stepped by hand; each has a clock of its own."""
    made = Rig(tmp_path, store, shared=True), Rig(tmp_path, store, shared=True)
    for rig in made:
        rig.step()
    yield made
    for rig in made:
        rig.watcher.folder.close()


def die(rig: Rig, point: str, name: str = "a.txt") -> None:
    """A file is dropped, and the watcher that claims it is killed there, for good."""
    rig.drop(name)
    rig.faults = die_at(point)
    with pytest.raises(Killed):
        rig.settle()


def at(wanted: str, act: Callable[[], object]) -> Callable[[str], None]:
    """What another does while one is at this point."""

    def pass_by(point: str) -> None:
        if point == wanted:
            act()

    return pass_by


def test_of_two_that_claim_a_file_at_once_one_gets_it(rigs: tuple[Rig, Rig]) -> None:
    first, second = rigs
    first.drop("a.txt")
    first.step()
    second.step()
    second.now += 2.0
    first.faults = at("noted", second.step)
    first.step(2.0)
    assert len(first.store.page(State.QUEUED)) == 1
    assert second.watcher.finisher.waiting == 1
    assert first.watcher.finisher.waiting == 0
    assert len(first.claimed) == 1, "the other's claim is not left behind"


@pytest.mark.parametrize("point", ["claimed", "hashed"])
def test_what_a_machine_claimed_and_never_sent_is_sent_by_another(
    rigs: tuple[Rig, Rig], point: str
) -> None:
    gone, other = rigs
    die(gone, point)
    for _ in range(int(others.PATIENCE_S / others.LOOK_S)):
        other.step(others.LOOK_S)
        assert other.store.page(State.QUEUED) == [], "it may yet come back"
    for seconds in (others.LOOK_S, 0.0, 2.0):  # it is looked at until it is quiet, as at a restart
        other.step(seconds)
    [task] = other.store.page(State.QUEUED)
    assert [task.id] == [path.name for path in other.claimed]
    other.end()
    assert other.done.joinpath("a.txt").read_bytes() == b"hello"
    assert other.claimed == []
    assert told(other) == [("run", "a.txt")]


@pytest.mark.parametrize("point", ["submitted", "final"])
def test_what_a_machine_sent_and_never_put_away_is_put_away_by_another(
    rigs: tuple[Rig, Rig], point: str
) -> None:
    gone, other = rigs
    gone.drop("a.txt")
    gone.faults = die_at(point)
    with contextlib.suppress(Killed):
        gone.settle()
    lease = other.store.claim("tester", "n", ["default"], 30_000)
    assert isinstance(lease, Lease)
    other.store.settle(lease, State.SUCCEEDED, outcome="succeeded")
    with contextlib.suppress(Killed):
        gone.step(1.5)
    for _ in range(4):
        other.step(others.LOOK_S)
        assert len(other.claimed) == 1, "it has only just ended, and its own watcher may live"
    long_ago = other.store.now_ms() - int(others.PATIENCE_S * 1000) - 1
    other.store.client.hset(f"{other.store.prefix}task:{lease.id}", "finished_ms", long_ago)
    other.step(others.LOOK_S)
    other.step(1.0)
    assert other.done.joinpath("a.txt").read_bytes() == b"hello"
    assert other.claimed == []


def test_of_two_that_put_a_file_away_at_once_one_does(rigs: tuple[Rig, Rig]) -> None:
    first, second = rigs
    first.drop("a.txt")
    first.settle()
    second.restart().step()  # takes over what stands in the ledger
    second.now += 2.0
    first.faults = at("final", second.step)
    first.end()
    assert [path.name for path in first.done.iterdir()] == ["a.txt"]
    assert first.claimed == []
    assert not first.watcher.finisher.disk.problem
    assert not second.watcher.finisher.disk.problem


def test_a_claim_that_another_has_finished_meanwhile_stops_nobody(rigs: tuple[Rig, Rig]) -> None:
    first, second = rigs
    die(first, "claimed")
    second.restart()
    second.faults = die_at("hashed")
    with pytest.raises(Killed):
        second.settle()
    first.faults = second.faults = lambda point: None
    first.restart()
    first.settle()
    first.end()
    second.drop("b.txt")
    second.settle()
    assert [path.name for path in first.done.iterdir()] == ["a.txt"]
    [task] = second.store.page(State.QUEUED)
    assert second.said(task)["prompt"].endswith("/b.txt")


def test_a_watcher_that_starts_leaves_the_claim_alone_that_another_is_about_to_make(
    rigs: tuple[Rig, Rig],
) -> None:
    first, second = rigs
    first.drop(b"caf\xe9.txt")  # a name that only the note keeps
    first.faults = at("noted", lambda: second.restart().step())
    assert len(first.settle()) == 1
    first.faults = lambda point: None
    first.end()
    assert os.listdir(os.fsencode(first.done)) == [b"caf\xe9.txt"]


class Worker(threading.Thread):
    """A consumer of all that comes in."""

    def __init__(self, store: LeaseStore) -> None:
        super().__init__(daemon=True)
        self.store, self.ended, self.done = store, threading.Event(), Counter[str]()

    def run(self) -> None:
        for number in itertools.count():
            found = self.store.claim("worker", f"n{number}", ["default"], 30_000)
            if isinstance(found, Lease):
                self.done[found.id] += 1
                self.store.settle(found, State.SUCCEEDED, outcome="succeeded")
            elif self.ended.wait(0.05):
                return


@pytest.fixture
def sites(valkey: PrivateServer, short_tmp: Path) -> Iterator[list[Site]]:
    """Three machines, each with a watcher of the same folder."""
    inbox = {"path": str(short_tmp / "Inbox"), "done": str(short_tmp / "Done"), "settle": 0}
    watchers = {"inbox": {**inbox, "shared": True, "prompt": "Read {{ name }}"}}
    made = []
    for name in ("hut", "barn", "mill"):
        (short_tmp / name).mkdir()
        env = {"REDIS_URL": valkey.url, identity.PRETEND: name}
        made.append(Site(short_tmp / name, {"host": name, "watchers": watchers}, env))
    yield made
    for site in made:
        site.close()


def test_three_machines_race_for_a_folder_and_are_killed(
    sites: list[Site], short_tmp: Path, tell: Callable[[str], None]
) -> None:
    chance = random.Random(20)
    inbox, done = short_tmp / "Inbox", short_tmp / "Done"
    for site in sites:
        site.start("watch", "inbox")
    worker = Worker(sites[0].store)
    worker.start()
    for number in range(FILES):
        (short_tmp / "draft").write_text(str(number))
        os.rename(short_tmp / "draft", inbox / f"{number}.txt")
        if number % (FILES // KILLS) == 7:
            site = chance.choice(sites)
            site.kill("watch-inbox")
            site.launch("watch", "inbox")
        worker.ended.wait(0.01)
    wait_until(lambda: len(list(done.glob("*"))) >= FILES, 60, "all files are put away")
    wait_until(
        lambda: not list(inbox.glob(".claimed/*/*.txt")), 60, "no file is left in the ledger"
    )
    worker.ended.set()
    worker.join(10)
    names = sorted(path.name for path in done.iterdir())
    assert names == sorted(f"{number}.txt" for number in range(FILES)), "none twice, none renamed"
    assert len(worker.done) == FILES
    sent = [site.log("watch-inbox").read_text().count(" is task ") for site in sites]
    assert sum(map(bool, sent)) > 1, "a race has more than one runner"
    tell(f"{FILES} drops, {KILLS} kills of three watchers: lost 0, doubled 0; each sent {sent}.")
