"""The queue on real servers: waking, killing, and the same answers after a lost reply."""

import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from durable import connect
from durable.fitness import kind_and_version
from durable.queue import BatonHuey
from durable.records import Lease, State, Submission
from durable.store import LeaseStore
from tests.conftest import SERVERS, PrivateServer, binary_of, wait_until
from tests.site import Site, with_server

TASKS = """
import os
from tasks import huey

@huey.task(retries=2)
def append(path, line):
    with open(path, "a") as out:
        out.write(line + "\\n")
    return line

@huey.task()
def pooled(path, seconds):
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor() as pool:
        pool.submit(slow.call_local, path, seconds).result()

@huey.task()
def slow(path, seconds):
    import time
    with open(path, "a") as out:
        out.write("begun %d\\n" % os.getpid())
    time.sleep(seconds)
    with open(path, "a") as out:
        out.write("ended %d\\n" % os.getpid())
"""


@pytest.fixture(params=SERVERS)
def site(request: pytest.FixtureRequest, short_tmp: Path) -> Iterator[Site]:
    (short_tmp / "my_tasks.py").write_text(TASKS)
    config = {"consumers": 3, "tasks": ["my_tasks"]}
    own = Site(short_tmp, config, with_server(request.param, short_tmp))
    own.start("redis")
    assert kind_and_version(own.store.client.info())[0] == request.param
    yield own
    own.close()


def client_of(server: PrivateServer) -> LeaseStore:
    return LeaseStore(connect.connect(server.url), "{test}:")


def test_a_blocked_consumer_wakes_at_once(private_server: PrivateServer) -> None:
    store = client_of(private_server)
    woken: list[float] = []

    def wait() -> None:
        client_of(private_server).wait_for_work(["default"], "me", 5)
        woken.append(time.monotonic())

    waiter = threading.Thread(target=wait)
    waiter.start()
    wait_until(lambda: store.client.info("clients")["blocked_clients"] == 1)
    sent = time.monotonic()
    store.submit([Submission(id="a", body=b"{}")])
    waiter.join(5)
    assert woken[0] - sent < 1  # not the five seconds of a poll; the figure itself is a benchmark's


def test_a_result_wakes_its_reader_at_once(private_server: PrivateServer) -> None:
    huey = BatonHuey("test", url=private_server.url)

    @huey.task()
    def answer() -> int:
        return 42

    result = answer()
    got: list[tuple[int, float]] = []
    reader = threading.Thread(
        target=lambda: got.append((result.get(blocking=True, timeout=10), time.monotonic()))
    )
    reader.start()
    wait_until(lambda: huey.storage.client.pubsub_channels("*done*"))
    lease = huey.store.claim("me", "n", ["default"], 30_000)
    assert isinstance(lease, Lease)
    settled = time.monotonic()
    huey.attempt(lease).settle(huey.store)
    reader.join(10)
    assert got[0][0] == 42
    assert got[0][1] - settled < 1


def test_what_a_killed_server_has_acknowledged_is_there_afterwards(
    private_server: PrivateServer,
) -> None:
    store = client_of(private_server)
    acknowledged: list[str] = []

    def write() -> None:
        for n in range(100_000):
            try:
                store.submit([Submission(id=f"t{n}", body=b"{}")])
            except redis.RedisError:
                return
            acknowledged.append(f"t{n}")

    writer = threading.Thread(target=write)
    writer.start()
    wait_until(lambda: len(acknowledged) > 200)
    private_server.kill()
    writer.join(30)
    private_server.start()
    after = client_of(private_server)
    assert all(after.records(acknowledged))


def test_scripts_survive_a_flushed_script_cache(private_server: PrivateServer) -> None:
    store = client_of(private_server)
    store.submit([Submission(id="a", body=b"{}")])
    store.client.function_flush()
    assert isinstance(store.claim("me", "n", ["default"], 1000), Lease)


def test_three_consumers_do_two_hundred_tasks_each_once(site: Site) -> None:
    for number in "123":
        site.start("consumer", number)
    lines = site.folder / "lines"
    site.python(
        f"import sys; sys.path.insert(0, {str(site.folder)!r})\n"
        f"from my_tasks import append\n"
        f"for n in range(200): append({str(lines)!r}, str(n))\n"
    )
    store = site.store
    wait_until(lambda: store.counts()[State.SUCCEEDED] == 200, 60, "200 tasks succeeded")
    assert sorted(map(int, lines.read_text().split())) == list(range(200))
    served = {r.decode() for r in store.client.keys("*nonce:*")}  # type: ignore[union-attr]
    assert len(served) == 3


def test_what_a_foreign_hand_wrote_ends_with_a_reason_and_stops_nobody(site: Site) -> None:
    site.start("consumer", "1")
    store = site.store
    ready = f"{store.prefix}ready:default:python"
    store.client.hset(
        f"{store.prefix}task:junk", mapping={"body": b"\x80not json", "state": "queued"}
    )
    message = (
        b'{"$":"message","v":{"id":"x","name":"gone.task","args":{"$":"tuple","v":[]},"kwargs":{}}}'
    )
    store.client.hset(f"{store.prefix}task:gone", mapping={"body": message, "state": "queued"})
    store.client.zadd(ready, {"junk": 0, "gone": 0, "ghost": 0})
    lines = site.folder / "lines"
    site.python(
        f"import sys; sys.path.insert(0, {str(site.folder)!r})\n"
        f"from my_tasks import append\nappend({str(lines)!r}, 'fine').get(blocking=True, timeout=20)\n"
    )
    assert lines.read_text() == "fine\n"
    for task_id, state, words in (
        ("junk", State.FAILED, "not a message"),
        ("gone", State.HELD, "no task is called 'gone.task'"),
        ("ghost", State.FAILED, "no message"),
    ):
        assert words in site.wait_for(task_id, state).reason


@pytest.fixture(params=SERVERS)
def tcp_redis(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A server on a port of loopback with a password, as docker-compose.yml runs it."""
    binary = binary_of(request.param).path
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    flags = "--bind 127.0.0.1 --appendonly yes --appendfsync always --requirepass secret --save"
    command = [binary, "--port", str(port), "--dir", str(tmp_path), *flags.split(), ""]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    yield f"redis://:secret@127.0.0.1:{port}/0"
    process.kill()
    process.wait()


def test_a_server_over_tcp_with_a_password_works_as_well(short_tmp: Path, tcp_redis: str) -> None:
    (short_tmp / "my_tasks.py").write_text(TASKS)
    (short_tmp / ".env").write_text(f"REDIS_URL={tcp_redis}\n")
    site = Site(short_tmp, {"consumers": 1, "tasks": ["my_tasks"]})
    try:
        site.start("consumer", "1")
        shown = site.python(
            f"import sys; sys.path.insert(0, {str(site.folder)!r})\n"
            f"from my_tasks import append\n"
            f"print(append({str(short_tmp / 'lines')!r}, 'over tcp').get(blocking=True, timeout=20))\n"
        )
        assert shown == "over tcp\n"
        assert "secret" not in site.log("consumer-1").read_text()
    finally:
        site.close()


def test_a_killed_consumer_loses_nothing(site: Site) -> None:
    lines = site.folder / "lines"
    site.start("consumer", "1")
    site.python(
        f"import sys; sys.path.insert(0, {str(site.folder)!r})\n"
        f"from my_tasks import slow; slow({str(lines)!r}, 3)\n"
    )
    wait_until(lines.exists, what="the task runs")
    site.kill("consumer-1")
    site.start("consumer", "1")
    store = site.store
    wait_until(lambda: store.counts()[State.SUCCEEDED] == 1, 20, "the task runs again and ends")
    words = [line.split()[0] for line in lines.read_text().splitlines()]
    assert words == ["begun", "begun", "ended"]


def test_a_stopped_consumer_lets_a_python_task_finish(site: Site) -> None:
    lines = site.folder / "lines"
    site.start("consumer", "1")
    site.python(
        f"import sys; sys.path.insert(0, {str(site.folder)!r})\n"
        f"from my_tasks import slow; slow({str(lines)!r}, 1)\n"
    )
    wait_until(lines.exists, what="the task runs")
    assert site.stop("consumer-1") == 0
    assert site.store.counts()[State.SUCCEEDED] == 1


def test_a_python_task_that_does_not_end_is_given_back_only_when_it_is_gone(site: Site) -> None:
    """Its body has a thread that would keep the interpreter; two live at once would be the end of promise 3."""
    lines = site.folder / "lines"
    site.start("consumer", "1")
    site.python(
        f"import sys; sys.path.insert(0, {str(site.folder)!r})\n"
        f"from my_tasks import pooled; pooled({str(lines)!r}, 60)\n"
    )
    wait_until(lines.exists, what="the task runs")
    process = site.processes.pop("consumer-1")

    def told_again() -> bool:  # a second signal ends its patience of 20 s
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        return process.poll() is not None

    wait_until(told_again, 10, "the consumer ends")
    assert process.returncode == 0
    first = int(lines.read_text().split()[1])
    assert not Path(f"/proc/{first}").exists()
    assert site.store.counts()[State.RUNNING] == 1
    site.start("consumer", "1")
    wait_until(lambda: lines.read_text().count("begun") == 2, what="it runs again")
    record = site.store.page(State.RUNNING)[0]
    assert (record.attempt, record.counted) == (2, 0)
    site.kill("consumer-1")  # it would wait for the body of a minute


def test_an_idle_consumer_stops_within_a_second(site: Site) -> None:
    site.start("consumer", "1")
    begun = time.monotonic()
    assert site.stop("consumer-1") == 0
    assert time.monotonic() - begun < 2


def test_a_redis_that_is_killed_in_mid_run_loses_nothing(site: Site) -> None:
    lines = site.folder / "lines"
    site.start("consumer", "1")
    site.python(
        f"import sys; sys.path.insert(0, {str(site.folder)!r})\n"
        f"from my_tasks import slow; slow({str(lines)!r}, 2)\n"
    )
    wait_until(lines.exists, what="the task runs")
    site.kill("redis")
    wait_until(lambda: "ended" in lines.read_text(), what="the body ends while Redis is away")
    site.start("redis")
    store = site.store
    wait_until(
        lambda: store.counts()[State.SUCCEEDED] == 1, 30, "its end is written once Redis is back"
    )
    assert lines.read_text().count("begun") == 1
