"""What Baton says about a server that is not fit for its queue, before anything starts: real ones, set up so."""

import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from durable.connect import check, connect
from durable.errors import ServerError
from tests.conftest import SERVERS, PrivateServer, binary_of

Start = Callable[..., PrivateServer]


@pytest.fixture(params=SERVERS)
def start(request: pytest.FixtureRequest, short_tmp: Path) -> Iterator[Start]:
    """Start a server with these flags over Baton's own configuration."""
    started: list[PrivateServer] = []

    def with_flags(*flags: str) -> PrivateServer:
        folder = short_tmp / str(len(started))
        folder.mkdir()
        own = PrivateServer(folder, binary_of(request.param))
        started.append(own)
        own.start(*flags)
        return own

    yield with_flags
    for own in started:
        own.kill()


def refusal(url: str, *, unsafe: bool = False) -> str:
    """What `check` says; fails the test when it has nothing to say."""
    with pytest.raises(ServerError) as refused:
        check(connect(url, retries=0), url, unsafe=unsafe)
    return str(refused.value)


def accepts(url: str, *, unsafe: bool = False) -> bool:
    """True, or the ServerError that says why not."""
    check(connect(url, retries=0), url, unsafe=unsafe)
    return True


def test_a_server_as_baton_runs_it_is_fit(start: Start) -> None:
    assert accepts(start().url)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--appendonly no", "append-only file is off.*set `appendonly yes`"),
        ("--appendfsync everysec", "to disk everysec, so a power cut.*set `appendfsync always`"),
        ("--maxmemory-policy allkeys-lru", r"allkeys-lru.*set `maxmemory-policy noeviction`"),
    ],
)
def test_a_server_that_may_lose_tasks_is_refused_until_a_person_allows_it(
    flags: str, words: str, start: Start
) -> None:
    url = start(*flags.split()).url
    said = refusal(url)
    assert re.search(words, said)
    assert said.endswith("`redis_unsafe: allow` into baton.yaml")
    assert accepts(url, unsafe=True)


def test_all_that_is_wrong_is_said_at_once(start: Start) -> None:
    said = refusal(start("--appendonly", "no", "--maxmemory-policy", "volatile-ttl").url)
    assert "appendonly yes" in said
    assert "noeviction" in said


def test_a_cluster_is_refused_whatever_is_allowed(start: Start) -> None:
    ports = [free_port(), free_port()]
    cluster = f"--cluster-enabled yes --bind 127.0.0.1 --port {ports[0]} --cluster-port {ports[1]}"
    url = start(*cluster.split()).url
    for unsafe in (False, True):
        assert "name a server that runs with `cluster-enabled no`" in refusal(url, unsafe=unsafe)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_replica_is_refused_whatever_is_allowed(start: Start) -> None:
    own = start()
    own.client().replicaof("127.0.0.1", "1")
    for unsafe in (False, True):
        assert "read-only replica: name the primary" in refusal(own.url, unsafe=unsafe)


def test_a_wrong_password_is_said_and_not_shown(start: Start) -> None:
    own = start("--requirepass", "right")
    for password in ("", ":wr0ng@"):
        said = refusal(f"unix://{password}{own.socket}", unsafe=True)
        assert "refuses the password" in said
        assert "REDIS_URL or BATON_REDIS_PASSWORD in .env" in said
        assert "wr0ng" not in said
    assert accepts(f"unix://:right@{own.socket}")


def test_a_server_that_is_away_is_said(start: Start) -> None:
    own = start()
    own.kill()
    said = refusal(own.url, unsafe=True)
    assert "does not answer" in said
    assert "start it, or correct REDIS_URL" in said


@pytest.mark.parametrize(
    "rights", ["+@all -config", "+@all -config|get"], ids=["no CONFIG", "no CONFIG GET"]
)
def test_where_config_is_forbidden_what_info_says_still_counts(rights: str, start: Start) -> None:
    own = start("--appendonly", "no")
    url = user_with(own, rights)
    assert "appendonly yes" in refusal(url)
    assert accepts(url, unsafe=True)
    own.client().replicaof("127.0.0.1", "1")
    assert "name the primary" in refusal(url, unsafe=True)


def test_a_server_without_the_command_config_is_judged_by_info(start: Start) -> None:
    hidden = ["--rename-command", "CONFIG"]
    own = start(*hidden, "", "--maxmemory-policy", "allkeys-random")
    with pytest.raises(redis.ResponseError, match="unknown command"):
        own.client().config_get("appendonly")
    assert "allkeys-random" in refusal(own.url)


def test_what_nobody_may_ask_is_not_held_against_a_server(start: Start) -> None:
    sound = user_with(start(), "+@all -config")
    assert accepts(sound)
    assert accepts(user_with(start("--appendonly", "no"), "+@all -config -info"))


def test_a_user_who_may_load_no_functions_is_refused(start: Start) -> None:
    said = refusal(user_with(start(), "+@all -function"), unsafe=True)
    assert "cannot be loaded" in said
    assert "+function +fcall" in said


def user_with(own: PrivateServer, rights: str) -> str:
    """The URL of a new user with these rights."""
    words = ["ACL", "SETUSER", "me", "on", ">pw", "~*", "&*", *rights.split()]
    own.client().execute_command(*words)  # type: ignore[no-untyped-call]
    return f"unix://me:pw@{own.socket}"


def test_a_server_that_refuses_the_greeting_is_not_taken_for_a_fit_one(start: Start) -> None:
    """As every Redis before 6 does."""
    own = start("--rename-command", "HELLO", "")
    said = refusal(own.url, unsafe=True)
    assert "refuses Baton's greeting" in said
    assert "Redis 7.0, Valkey 8.0 or newer is needed" in said
