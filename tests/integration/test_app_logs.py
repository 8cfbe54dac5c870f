"""`./baton logs` of apps: merged, followed through rotations, and the embedded server's own log among them."""

import json
import logging
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from durable.logfile import LogFile, rotate
from durable.server import own_log
from tests.conftest import SERVERS, wait_until
from tests.integration.test_cli_logs import read_until
from tests.integration.test_cli_verbs import baton, command, env
from tests.site import Site, with_server


@pytest.fixture
def site(short_tmp: Path) -> Iterator[Site]:
    made = Site(short_tmp, {"consumers": 2})
    yield made
    made.close()


def logger(site: Site, app: str) -> logging.Logger:
    own = logging.Logger("test")
    own.addHandler(LogFile(site.folder / "var" / "logs" / f"{app}.log", app, 2_000, 50))
    return own


def test_logs_without_an_id_show_all_apps_and_with_a_name_one(site: Site) -> None:
    first, second = logger(site, "baton-consumer-1"), logger(site, "baton-consumer-2")
    first.info("of the first")
    second.error("of the second \x1b[2J")
    (site.folder / "var" / "logs" / "baton-consumer-1.out").write_text("Traceback of Python\n")
    every = baton(site, "logs")
    assert "INFO baton-consumer-1: of the first\n" in every
    assert "ERROR baton-consumer-2: of the second \\x1b[2J\n" in every
    assert every.index("of the first") < every.index("of the second")
    assert "baton-consumer-1: Traceback of Python\n" in every
    for name in ("consumer-2", "baton-consumer-2"):
        assert "of the second" in baton(site, "logs", name)
        assert "of the first" not in baton(site, "logs", name)
    assert len(baton(site, "logs", "--lines", "1").splitlines()) == 1
    entries = [json.loads(line) for line in baton(site, "logs", "--json").splitlines()]
    assert {entry["level"] for entry in entries} == {"INFO", "ERROR", ""}


def test_a_mistake_in_the_configuration_hides_no_log(site: Site) -> None:
    logger(site, "baton-consumer-1").error("baton.yaml:1: nonsense")
    (site.folder / "baton.yaml").write_text("nonsense: 1\n")
    assert "baton.yaml:1: nonsense" in baton(site, "logs", "consumer-1")


def test_logs_follow_through_rotations_and_show_apps_that_come_later(site: Site) -> None:
    first = logger(site, "baton-consumer-1")
    first.info("before")
    follower = subprocess.Popen(
        command("logs", "-f"), env=env(site), stdout=subprocess.PIPE, text=True
    )
    try:
        read_until(follower, "baton-consumer-1: before")
        for number in range(100):
            first.info("line %d", number)
        first.info("the end")
        said = [line.rpartition(": ")[2] for line in read_until(follower, "the end")]
        assert said == [*(f"line {number}" for number in range(100)), "the end"]
        logger(site, "baton-consumer-2").info("a new one")
        read_until(follower, "baton-consumer-2: a new one")
    finally:
        follower.kill()
        follower.communicate()
    assert len(list((site.folder / "var" / "logs").glob("baton-consumer-1.log.*"))) > 2


@pytest.mark.parametrize("kind", SERVERS)
def test_the_servers_own_log_may_be_put_aside_while_it_runs(kind: str, short_tmp: Path) -> None:
    site = Site(short_tmp, {"consumers": 1}, with_server(kind, short_tmp))
    try:
        site.start("redis")
        log = own_log(site.settings)
        shown = baton(site, "logs", "redis")
        assert "eady to accept connections" in shown
        assert log.stat().st_mode & 0o077 == 0
        assert rotate(log, 1, 2)
        site.store.client.bgrewriteaof()
        wait_until(
            lambda: log.exists() and "AOF" in log.read_text(), what="it goes on in a new one"
        )
    finally:
        site.close()
