"""With a Redis elsewhere: a run is gone before another host may claim its task, whatever befell its consumer."""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from chaos.proxy import Pair, Proxy
from consumers.times import SCALE
from durable.records import State
from tests.acceptance.claude_site import (
    ClaudeSite,
    bash,
    claude_settings,
    dotenv,
    marked,
    say,
    script,
)
from tests.acceptance.standin_process import standin
from tests.conftest import PrivateServer, wait_until

#: A lease of 9 s and a grace of 4.5; a runner's deadline of 6 s and its ladder of 3.
SHORTER = "0.3"


class Network(Proxy):
    """The way to a Redis elsewhere, which may be gone for a while."""

    def __init__(self, server: Path) -> None:
        super().__init__(None, server)
        self.away = False

    def _is_to_be_kept_from_the_server(self, pair: Pair, chunk: bytes) -> bool:
        return self.away

    def part(self) -> None:
        """From now on nothing gets through."""
        self.away = True
        self.cut()


@pytest.fixture
def hosts(valkey: PrivateServer, short_tmp: Path) -> Iterator[tuple[ClaudeSite, ClaudeSite]]:
    """Two hosts of one instance: each has a state folder of its own, so neither sees the other's runs."""
    config = {"consumers": 3, "claude": claude_settings()}
    with ExitStack() as at_the_end:
        api = at_the_end.enter_context(standin())
        made = []
        for name in ("here", "there"):
            folder = short_tmp / name
            folder.mkdir()
            dotenv(folder, api)
            site = ClaudeSite(folder, config, {SCALE: SHORTER})
            at_the_end.callback(site.close)
            at_the_end.callback(go_on, site)  # a process that is stopped would hear of no end
            made.append(site)
        yield made[0], made[1]


def go_on(site: ClaudeSite) -> None:
    """Nobody stands still any more."""
    for process in site.processes.values():
        process.send_signal(signal.SIGCONT)


@pytest.fixture
def ways(valkey: PrivateServer) -> Iterator[list[Network]]:
    """One way to the server for each consumer here, and one for those there."""
    made = [Network(valkey.socket) for _ in range(4)]
    for way in made:
        way.start()
    yield made
    for way in made:
        way.stop()


def leased_at_ms(site: ClaudeSite, task_id: str) -> list[int]:
    """When each attempt of a task was leased, by the server's clock, which is this machine's."""
    entries: Any = site.store.client.xrange(site.store.prefix + "events")
    mine = [
        stamp for stamp, f in entries if f[b"id"].decode() == task_id and f[b"event"] == b"leased"
    ]
    return [int(stamp.split(b"-")[0]) for stamp in mine]


def in_tools(site: ClaudeSite, go: Path, count: int) -> list[str]:
    """As many tasks by the number of their consumer; each is in a tool call that ends in attempts after `go`."""
    waits = [f"test -e {go} || {{ touch {go}-{n}; sleep 600; }}" for n in range(count)]
    tasks = [site.submit(script(bash(wait), say("all done"))) for wait in waits]
    wait_until(lambda: len(list(go.parent.glob("go-*"))) == count, 40, "each claude is in a tool")
    return sorted(tasks, key=lambda task_id: site.store.record(task_id).owner)  # type: ignore[union-attr]


def exit_of(site: ClaudeSite, task_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((site.attempt(task_id) / "exit.json").read_text())
    return found


def refused(site: ClaudeSite, label: str) -> None:
    """Wait until a consumer was told that its word on an attempt comes too late."""
    wait_until(lambda: "was lost" in site.log(label).read_text(), 20, f"{label} is refused")


def test_a_run_is_gone_before_another_host_may_claim_its_task(
    hosts: tuple[ClaudeSite, ClaudeSite], ways: list[Network], tell: Callable[[str], None]
) -> None:
    """One consumer is stopped, two are cut off; one of these is back before its lease is given on."""
    here, there = hosts
    here.env["REDIS_URL"] = there.env["REDIS_URL"] = ways[3].url
    for number, way in zip("123", ways, strict=False):
        here.launch("consumer", number, REDIS_URL=way.url)
    go = here.folder / "go"
    tasks = in_tools(here, go, 3)
    *lost, kept = tasks
    here.processes["consumer-1"].send_signal(signal.SIGSTOP)
    for way in ways[1:3]:
        way.part()
    go.touch()
    wait_until((here.attempt(kept) / "exit.json").exists, 30, "its deadline is over")
    ways[2].away = False
    assert "--resume" in attempt_again(here, kept)
    here.stop("consumer-3")  # else it might be faster than those on the other host
    for number in "12":
        there.launch("consumer", number)
    for task_id in lost:
        assert "--resume" not in attempt_again(there, task_id)  # the session lies on the other host
    for task_id in tasks:
        ended = exit_of(here, task_id)
        spare_s = leased_at_ms(there, task_id)[1] / 1000 - ended["ended_at"]
        assert (ended["stopped"], ended["survivors"]) == ("deadline", 0)
        assert spare_s > 0
        if task_id in lost:
            tell(f"The run was gone {spare_s:.1f} s before its task was given on.")
    go_on(here)
    ways[1].away = False
    for label in ("consumer-1", "consumer-2"):
        refused(here, label)
    assert all(len(leased_at_ms(there, task_id)) == 2 for task_id in tasks)
    assert not any(marked(f"BATON_ATTEMPT={task_id}") for task_id in tasks)


def attempt_again(site: ClaudeSite, task_id: str) -> str:
    """The command of the second attempt, which succeeds; the first did not count."""
    record = site.finish(task_id)
    assert (record.state, record.attempt, record.counted) == (State.SUCCEEDED, 2, 0)
    return (site.attempt(task_id, 2) / "command.json").read_text()
