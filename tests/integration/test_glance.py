"""The client of those who only look answers as redis-py does, and gives way to it at the first trouble."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis

from durable.costs import Cost
from durable.glance import Glance, glance
from durable.records import Lease, State, Submission
from durable.store import LeaseStore
from durable.views import Views
from tests.conftest import ROOT, PrivateServer

PREFIX = "{baton}:"


def url(server: PrivateServer, more: str = "") -> str:
    return f"unix://{quote(str(server.socket))}{more}"


def filled(client: redis.Redis) -> LeaseStore:
    """A queue with something of everything that is looked at."""
    store = LeaseStore(client, PREFIX)
    store.submit([Submission(id=f"a{n}", body=b"{}", source="cli") for n in range(4)])
    store.submit([Submission(id="b1", body=b"{}", kind="claude", priority=-5, lock="l")])
    store.submit([Submission(id="b2", body=b"{}", kind="claude", queue="other", lock="l")])
    store.submit([Submission(id="c1", body=b"{}", due_ms=store.now_ms() + 3_600_000)])
    lease = store.claim("i:h:consumer-1", "n", ["default"], 30_000)
    assert isinstance(lease, Lease)
    cost = [Cost(model="m", usd=1.5, input=3)]
    assert store.settle(lease, State.SUCCEEDED, outcome="succeeded", result=b'"r"', costs=cost)
    store.claim("i:h:consumer-1", "n2", ["default"], 30_000)
    store.hold("a2", "a look is wanted")
    store.close_gate("claude", "login", by="t", why="über", until_ms=None)
    store.announce("i:h:consumer-1", "here", ["default"])
    return store


#: Everything that a verb may ask; the two clients ask one after the other, so nothing here has the time in it.
LOOKS: dict[str, Callable[[Views], Any]] = {
    "records": lambda v: v.records(["a0", "a1", "none"]),
    "ends": lambda v: v.ends(["a0", "none"]),
    "find": lambda v: (v.find("a0"), v.find("b1")),
    "pages": lambda v: [v.page(state, 2, offset) for state in State for offset in (0, 1)],
    "queues": lambda v: v.queues(),
    "counts": lambda v: v.counts(),
    "sources": lambda v: v.counts_by_source(),
    "result": lambda v: (v.result("a0"), v.result("a3")),
    "results": lambda v: v.results(["a0", "a3"]),
    "gate": lambda v: v.gate(),
    "today": lambda v: v.today(),
    "costs": lambda v: v.costs(3),
    "journal": lambda v: v.journal("schedule:none"),
    "cursor": lambda v: v.read_cursor("none"),
    "lock": lambda v: v.lock_holder("l"),
    "cost": lambda v: v.cost_so_far("a0"),
    "unpriced": lambda v: v.unpriced(),
    "waiting": lambda v: v.waiting(),
    "consumers": lambda v: v.consumers(),
    "newer": lambda v: v.from_newer(),
}


def test_it_answers_what_redis_py_answers(private_server: PrivateServer) -> None:
    store = filled(private_server.client())
    quick = Glance(url(private_server))
    views = Views(quick, PREFIX)  # type: ignore[arg-type]
    for name, look in LOOKS.items():
        assert look(views) == look(store), name
        assert quick._whole is None, f"{name} needs redis-py"
    assert abs(views.now_ms() - store.now_ms()) < 60_000
    assert views.lease_left_ms("a1") > 0


def test_a_database_and_a_password_in_the_url_are_kept_to(private_server: PrivateServer) -> None:
    client = private_server.client()
    redis.Redis(unix_socket_path=str(private_server.socket), db=2).hset("k", "f", "two")
    client.config_set("requirepass", "s/cret")
    quick = Glance(f"unix://:{quote('s/cret', safe='')}@{quote(str(private_server.socket))}?db=2")
    assert quick.hget("k", "f") == b"two"
    assert quick._whole is None


def test_a_user_without_a_password_is_that_user(private_server: PrivateServer) -> None:
    private_server.client().acl_setuser(
        "guest", enabled=True, nopass=True, categories=["+@all"], keys=["*"]
    )
    path = quote(str(private_server.socket))
    quick = Glance(f"unix://guest@{path}")
    assert quick.hget("k", "f") is None
    assert quick._whole is None
    assert "guest" in [one["user"] for one in private_server.client().client_list()]


def test_what_is_wrong_is_said_by_redis_py(private_server: PrivateServer) -> None:
    private_server.client().config_set("requirepass", "secret")
    with pytest.raises(redis.AuthenticationError):
        glance(url(private_server)).time()
    private_server.kill()
    with pytest.raises(redis.ConnectionError):
        glance(url(private_server)).time()


def test_a_lost_connection_and_an_unknown_command_are_left_to_redis_py(
    private_server: PrivateServer,
) -> None:
    client = private_server.client()
    client.set("k", "v")
    client.hset("h", "f", "v")
    for trouble in (
        lambda quick: client.client_kill_filter(_type="normal", skipme=True),
        lambda quick: quick.get("k"),
    ):
        quick = Glance(url(private_server))
        assert quick.hget("h", "f") == b"v"
        trouble(quick)
        pipe = quick.pipeline()
        pipe.hget("h", "f")
        pipe.zrange("none", 0, -1, withscores=True)
        assert pipe.execute() == [b"v", []]
        assert quick._whole is not None


@pytest.mark.parametrize(
    "odd",
    ["rediss://127.0.0.1:1", "redis://127.0.0.1:1?socket_timeout=1", "unix:///s?socket_timeout=1"],
)
def test_a_url_with_more_in_it_is_none_of_its_business(odd: str) -> None:
    quick = Glance(odd)
    with pytest.raises(redis.RedisError):
        quick.time()
    assert quick._whole is not None


def test_a_verb_that_looks_loads_neither_redis_py_nor_huey(private_server: PrivateServer) -> None:
    code = (
        "import sys; from durable.glance import glance; from durable.views import Views;"
        f"print(Views(glance({url(private_server)!r}), '{PREFIX}').counts(), *sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not {"redis", "huey", "asyncio"} & set(done.stdout.split())


def test_a_server_that_stands_still_is_given_its_time_twice_and_not_for_minutes(
    short_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("durable.glance._ANSWER_TIMEOUT_S", 0.2)
    monkeypatch.setattr("durable.connect.SOCKET_TIMEOUT_S", 0.2)
    with socket.socket(socket.AF_UNIX) as still:
        still.bind(str(short_tmp / "s"))
        still.listen(50)
        with pytest.raises(redis.TimeoutError):
            glance(f"unix://{short_tmp}/s").time()
        still.settimeout(0)
        for _ in range(2):
            still.accept()[0].close()
        with pytest.raises(BlockingIOError):
            still.accept()
