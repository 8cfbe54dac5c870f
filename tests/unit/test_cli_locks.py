"""Who holds a name, and whose process that is."""

import os
from pathlib import Path

import pytest

from cli.locks import Holder, Lock, holder, is_ours, live_holder, lock_path, process


def test_a_lock_is_one_process_at_a_time_and_names_it(tmp_path: Path) -> None:
    path = lock_path(tmp_path, "baton-redis")
    assert holder(path) is None
    assert live_holder(path) is None
    first, second = Lock(path), Lock(path)
    assert first.take()
    assert not second.take()
    assert live_holder(path) == Holder(os.getpid(), ready=False)
    first.mark_ready()
    assert holder(path) == Holder(os.getpid(), ready=True)
    first.close()
    assert live_holder(path) is None
    assert second.take()
    assert holder(path) == Holder(os.getpid(), ready=False)
    second.close()


def test_a_lock_is_private(tmp_path: Path) -> None:
    path = lock_path(tmp_path, "a")
    Lock(path).close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("written", [b"", b"ready\n", b"\xff\xfe", b"-1\n"])
def test_a_damaged_lock_file_names_nobody(tmp_path: Path, written: bytes) -> None:
    (tmp_path / "a.lock").write_bytes(written)
    assert holder(tmp_path / "a.lock") is None


@pytest.mark.parametrize(
    ("command", "role", "arg", "ours"),
    [
        ("/v/bin/python /repo/app.py consumer 1", "consumer", "1", True),
        ("/v/bin/python /my repo/app.py scheduler", "scheduler", "", True),
        ("/v/bin/python /repo/app.py consumer 11", "consumer", "1", False),
        ("/v/bin/python /repo/app.py consumer 1", "consumer", "2", False),
        ("/v/bin/python /repo/app.py watch inbox", "poll", "inbox", False),
        ("/v/lib/valkey-server unixsocket:/r/redis.sock", "redis", "", True),
        ("redis-server unixsocket:/r/redis.sock", "redis", "", True),
        ("/v/bin/python /repo/app.py redis", "redis", "", True),
        ("vim app.py", "scheduler", "", False),
        ("", "redis", "", False),
    ],
)
def test_a_process_is_ours_by_its_command(command: str, role: str, arg: str, ours: bool) -> None:
    assert is_ours(command, role, arg) is ours


def test_a_process_is_read_with_its_parent() -> None:
    found = process(os.getpid())
    assert found
    assert found.parent == os.getppid()
    assert "python" in found.command
    assert process(2**22 + 1) is None
