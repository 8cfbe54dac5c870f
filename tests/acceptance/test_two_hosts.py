"""Two machines and a Redis, the cable of one pulled in mid-run: nothing is lost, nothing runs twice at once.

The machines are network namespaces, so they share the kernel's ids, and each is told another one. Where
namespaces cannot be made, test_remote_redis.py plays the same through a proxy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from consumers.times import SCALE
from durable import identity
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
from tests.acceptance.netns import Machine, machines
from tests.acceptance.standin_process import standin
from tests.conftest import PrivateServer, binary_of, wait_until

#: A lease of 9 s and a grace of 4.5; a runner's deadline of 6 s and its ladder of 3.
SHORTER = "0.3"
RIGHTS = "on >secret ~{baton}:* &{baton}:* +@all -@admin -@dangerous +info +config|get"


class Host(NamedTuple):
    machine: Machine
    site: ClaudeSite


@pytest.fixture
def hosts(short_tmp: Path) -> Iterator[dict[str, Host]]:
    """hut and barn: the same baton.yaml, a state folder each, and Debian's Redis between them."""
    server = PrivateServer(short_tmp, binary_of("redis"))
    with ExitStack() as at_the_end:
        made = at_the_end.enter_context(machines(2))
        at_the_end.callback(server.kill)
        server.start(
            "--port", "6379", "--bind", *(m.gateway for m in made), "--protected-mode", "no"
        )
        server.client().execute_command("ACL", "SETUSER", "baton", *RIGHTS.split())  # type: ignore[no-untyped-call]
        found = {}
        for name, machine in zip(("hut", "barn"), made, strict=True):
            folder = short_tmp / name
            folder.mkdir()
            dotenv(folder, at_the_end.enter_context(standin(inside=machine.inside)))
            config = {"host": name, "consumers": 2, "claude": claude_settings()}
            url = f"redis://baton:secret@{machine.gateway}:6379/0"
            env = {SCALE: SHORTER, identity.PRETEND: f"{name}-id", "REDIS_URL": url}
            site = ClaudeSite(folder, config, env)
            site.inside = machine.inside
            at_the_end.callback(site.close)
            found[name] = Host(machine, site)
        yield found


class Work:
    """Claude tasks in a tool that says ten times a second that it lives, until it may end."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.go = folder, folder / "go"

    def prompt(self) -> str:
        mark = f"{self.folder}/lives-$(echo $BATON_ATTEMPT | tr / -)"
        beat = f'f="{mark}"; until test -e {self.go}; do date +%s%N >> "$f"; sleep 0.1; done'
        return script(bash(beat), say("all done"))

    def lives(self, task_id: str) -> dict[str, tuple[int, int]]:
        """By attempt: when its tool was first and last alive, ns of the one clock of this machine."""
        found = {}
        for file in self.folder.glob(f"lives-*{task_id}*"):
            if beats := [int(line) for line in file.read_text().split()]:
                found[file.name] = (beats[0], beats[-1])
        return found


def events(site: ClaudeSite) -> Counter[tuple[str, str]]:
    """How often each thing happened to each task."""
    found: Any = site.store.client.xrange(site.store.prefix + "events")
    return Counter((f[b"id"].decode(), f[b"event"].decode()) for _, f in found)


def test_a_machine_whose_cable_is_pulled_in_mid_run_loses_and_doubles_nothing(
    hosts: dict[str, Host], short_tmp: Path, tell: Callable[[str], None]
) -> None:
    (cable, hut), (_, barn) = hosts["hut"], hosts["barn"]
    work = Work(short_tmp)
    for number in "12":
        hut.start("consumer", number)
    cut = [hut.submit(work.prompt()) for _ in "12"]
    wait_until(lambda: all(map(work.lives, cut)), 40, "the hut's runs are in their tools")
    for number in "12":
        barn.start("consumer", number)
    cable.pull()
    own = barn.submit(script(say("for the hut alone")), queue="host:hut")
    wait_until(lambda: all(len(work.lives(t)) == 2 for t in cut), 60, "the barn runs both")
    work.go.touch()
    for task_id in cut:
        ended = barn.finish(task_id)
        assert (ended.state, ended.attempt, ended.counted) == (State.SUCCEEDED, 2, 0)
        assert ended.owner.split(":")[1] == "barn-id"
        (_, gone), (begun, _) = sorted(work.lives(task_id).values())
        assert begun > gone, "the first run was over before the second began"
        tell(
            f"The run on the cut-off machine was gone {(begun - gone) / 1e9:.1f} s before the other."
        )
    assert barn.store.record(own).state is State.QUEUED  # type: ignore[union-attr]
    cable.plug()
    assert hut.finish(own).state is State.SUCCEEDED, "the hut works on by itself"
    for number in "12":
        log = hut.log(f"consumer-{number}")
        wait_until(lambda log=log: "was lost" in log.read_text(), 30, "its late word is refused")  # type: ignore[misc]
    counted = events(barn)
    assert [counted[task_id, "succeeded"] for task_id in (*cut, own)] == [1, 1, 1]
    assert [counted[task_id, "leased"] for task_id in (*cut, own)] == [2, 2, 1]
    assert barn.store.counts() == dict.fromkeys(State, 0) | {State.SUCCEEDED: 3}
    assert not any(marked(f"BATON_ATTEMPT={task_id}") for task_id in cut)
