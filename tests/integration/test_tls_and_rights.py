"""A Redis elsewhere as docs/several-machines.md sets it up: TLS by a CA of one's own, and a user with few rights."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from durable.connect import check, connect
from durable.errors import ServerError
from durable.records import State
from tests.conftest import ROOT, binary_of, wait_until
from tests.site import Site

PAGE = ROOT / "docs" / "several-machines.md"
MODULE = """
from tasks import huey

@huey.task(retries=1)
def double(n):
    return 2 * n
"""
WORK = """
from my_tasks import double, huey
with huey.lock_task("l"):
    print(double(4, priority=3).get(blocking=True, timeout=30))
print(double.schedule((5,), delay=0.1).get(blocking=True, timeout=30))
"""


def shown(containing: str) -> str:
    """The block of the page that holds these words."""
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    [found] = [block for block in blocks if containing in block]
    return str(found)


def certificates(folder: Path) -> None:
    """ca.pem, and redis.pem with its key for 127.0.0.1, by the commands of the page."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl on PATH to make certificates with")
    commands = shown("openssl").replace("IP:192.168.1.5", "IP:127.0.0.1")
    commands += "openssl verify -x509_strict -CAfile ca.pem redis.pem\n"
    made = subprocess.run(["sh", "-ec", commands], cwd=folder, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr


@pytest.fixture
def url(short_tmp: Path) -> Iterator[str]:
    """Debian's Redis with the configuration and the user that the page shows."""
    binary = binary_of("redis")
    certificates(short_tmp)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    text = shown("tls-port").replace("tls-port 6379", f"tls-port {port}")
    text = text.replace("/etc/redis", str(short_tmp)).replace("bind 192.168.1.5", "bind 127.0.0.1")
    (short_tmp / "redis.conf").write_text(f"{text}\ndir {short_tmp}\n")
    (short_tmp / "users.acl").write_text(shown("~{baton}:*"))
    with (short_tmp / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [binary.path, str(short_tmp / "redis.conf")], stdout=log, stderr=log
        )
    found = shown("rediss://").strip().removeprefix("REDIS_URL=")
    found = found.replace("192.168.1.5:6379", f"127.0.0.1:{port}")
    found = found.replace("/etc/baton", str(short_tmp))
    try:
        wait_until(lambda: answers(found) or process.poll() is not None, what="the server answers")
        if process.poll() is not None and b"tls" in (short_tmp / "server.log").read_bytes().lower():
            pytest.skip("this redis-server was built without TLS")
        yield found
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    try:
        return bool(redis.Redis.from_url(url).ping())
    except redis.RedisError:
        return False


def test_the_user_of_the_page_may_do_all_that_baton_does(url: str, short_tmp: Path) -> None:
    """Every transition runs in functions of the user's rights, so a forbidden command shows in none of them."""
    check(connect(url), url)
    (short_tmp / "my_tasks.py").write_text(MODULE)
    schedules = {"often": {"every": "1s", "task": "double", "overlap": "allow"}}
    config = {"consumers": 1, "tasks": ["my_tasks"], "schedules": schedules}
    site = Site(short_tmp, config, {"REDIS_URL": url})
    try:
        site.start("consumer", "1")
        assert site.python("import tasks; tasks.load_user_tasks()\n" + WORK) == "8\n10\n"
        store = site.store
        assert [one.queues[0] for one in store.consumers()] == ["default"]
        store.close_gate("all", "pause", by="me", why="")
        assert store.open_gate() == 1
        store.prune(1, 1)
        store.reconcile()
        assert store.counts()[State.RUNNING] == 0
        assert "does not answer" not in site.log("consumer-1").read_text()
    finally:
        site.close()


def test_the_user_of_the_page_sees_no_other_keys_and_runs_nothing_that_harms_the_server(
    url: str,
) -> None:
    client = connect(url)
    for words in (
        *(["GET", "other"], ["SET", "{baton}x", "1"], ["FLUSHALL"], ["CONFIG", "SET", "save", ""]),
        *(["SHUTDOWN"], ["ACL", "LIST"], ["PUBLISH", "other", "x"], ["KEYS", "*"]),
    ):
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.execute_command(*words)  # type: ignore[no-untyped-call]


def test_a_server_whose_ca_is_not_known_is_refused_with_the_reason(url: str) -> None:
    plain = url.partition("?")[0]
    with pytest.raises(ServerError, match="certificate verify failed"):
        check(connect(plain, retries=0), plain)
