"""What a consumer takes over when it starts, what it gives back, and what it leaves to another."""

import json
from pathlib import Path
from typing import Any

import fakeredis
import pytest

from consumers import processes
from consumers.adoption import Adoption
from durable.records import Holding, Lease, State
from durable.store import LeaseStore
from tests.unit.leasing import LEASE_MS, claim, state, sub
from tests.unit.test_housekeeper import settings_in

MINE, OTHER = "i:h:consumer-1", "i:h:consumer-2"


def run_of(folder: Path, lease: Lease, boot_id: str = "") -> Path:
    """The folder of an attempt whose runner began (at another boot, where one is named)."""
    own = folder / "var" / "attempts" / lease.id / str(lease.attempt)
    own.mkdir(parents=True)
    facts = {
        "token": lease.token,
        "socket": str(own / "s"),
        "marker": "x",
        "tmpdir": str(own / "t"),
    }
    (own / "command.json").write_text(json.dumps(facts))
    (own / "runner.json").write_text(json.dumps({"boot_id": boot_id or processes.boot_id()}))
    return own


def leased(store: LeaseStore, kind: str = "claude", owner: str = MINE) -> Lease:
    store.submit([sub("a", kind=kind)])
    return claim(store, "n", owner)


def adoption(folder: Path, store: LeaseStore, owner: str = MINE) -> Adoption:
    return Adoption(settings_in(folder), store, owner)


def test_the_run_of_a_former_copy_goes_on_under_a_new_token(
    store: LeaseStore, tmp_path: Path
) -> None:
    lease = leased(store)
    run_of(tmp_path, lease)
    own = adoption(tmp_path, store)
    own.take_own()
    found = own.take()
    assert found is not None
    assert (found.id, found.attempt) == ("a", 1)
    assert found.token > lease.token
    assert own.take() is None


def test_a_try_that_redis_broke_off_leaves_no_stale_lease(
    store: LeaseStore, tmp_path: Path
) -> None:
    run_of(tmp_path, leased(store))
    own = adoption(tmp_path, store)
    for _ in range(2):  # the first one's answer was lost with the rest of it
        own.take_own()
    found = own.take()
    assert found is not None
    assert store.beat([("a", found.token)], LEASE_MS) == ["ok"]
    assert own.take() is None


@pytest.mark.parametrize("why", ["a Python task", "no runner began", "another boot"])
def test_what_cannot_go_on_is_given_back_uncounted(
    store: LeaseStore, tmp_path: Path, why: str
) -> None:
    lease = leased(store, "python" if why == "a Python task" else "claude")
    if why != "no runner began":
        run_of(tmp_path, lease, "another boot" if why == "another boot" else "")
    own = adoption(tmp_path, store)
    own.take_own()
    assert own.take() is None
    assert state(store, "a") is State.QUEUED


def test_a_run_that_another_took_over_meanwhile_is_let_be(tmp_path: Path) -> None:
    class Raced(LeaseStore):
        """Between the look and the adoption, somebody is faster."""

        def held_by(self, *args: Any, **more: Any) -> list[Holding]:
            found = super().held_by(*args, **more)
            self.others = [self.adopt(h.id, h.token, OTHER, "n", LEASE_MS) for h in found]
            return found

    store = Raced(fakeredis.FakeRedis(server_type="valkey"), "{test}:")
    folder = run_of(tmp_path, leased(store))
    own = adoption(tmp_path, store)
    own.take_own()
    assert own.take() is None
    [other] = store.others
    assert other is not None
    assert store.beat([("a", other.token)], LEASE_MS) == ["ok"]
    assert not (folder / "exit.json").exists()  # nobody looked whether its runner may be buried


@pytest.mark.parametrize("owner", ["i:another-host:consumer-2", "another:h:consumer-2"])
def test_a_run_of_another_host_or_instance_is_not_taken_over(
    store: LeaseStore, tmp_path: Path, owner: str
) -> None:
    """Nor of another pid namespace, which the host's name holds: its flock may be free for another reason."""
    lease = leased(store, owner=owner)
    run_of(tmp_path, lease)
    own = adoption(tmp_path, store)
    (tmp_path / "var" / "locks").mkdir()
    (tmp_path / "var" / "locks" / "baton-consumer-2.lock").touch()
    own.take_own()
    assert own.take() is None
    assert own.orphan() is None
    assert store.adopt(lease.id, lease.token, MINE, "n", LEASE_MS) is None
    assert store.beat([("a", lease.token)], LEASE_MS) == ["ok"]


def test_an_idle_consumer_takes_over_from_those_whose_flock_is_free(
    store: LeaseStore, tmp_path: Path
) -> None:
    run_of(tmp_path, leased(store, owner=OTHER))
    own = adoption(tmp_path, store)
    assert own.orphan() is None  # no such consumer was ever here
    locks = tmp_path / "var" / "locks"
    locks.mkdir()
    (locks / "baton-consumer-2.lock").touch()
    assert own.orphan() is None  # it has just looked
    own._look_at = 0.0
    found = own.orphan()
    assert found is not None
    assert found.id == "a"
