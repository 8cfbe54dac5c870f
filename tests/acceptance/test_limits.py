"""Limits burn nothing: the gate with several real consumers, the real CLI, and a stand-in that says no."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from durable.records import Looks, State
from tests.acceptance.claude_site import ClaudeSite, claude_settings, dotenv, say, script
from tests.acceptance.standin_process import StandInProcess, standin
from tests.conftest import wait_until

API_KEY, LOGIN = "ANTHROPIC_API_KEY=made-up", "CLAUDE_CODE_OAUTH_TOKEN=made-up"
USUAL = "claude:default"
TASKS, CONSUMERS = 30, 4
RESET_S = 10.0
"""Long enough for those to hear of the limit that were at work when it struck."""


@contextmanager
def site_of(
    folder: Path, api: StandInProcess, consumers: int, credential: str = API_KEY
) -> Iterator[ClaudeSite]:
    dotenv(folder, api, credential)
    site = ClaudeSite(folder, {"consumers": consumers, "claude": claude_settings()})
    site.start("redis")
    try:
        yield site
    finally:
        site.close()


def consume(site: ClaudeSite, count: int) -> None:
    for number in range(1, count + 1):
        site.launch("consumer", str(number))


def told(site: ClaudeSite, *events: str) -> list[tuple[str, str]]:
    """(event, task id) of the queue's events, in their order."""
    rows: Any = site.store.client.xrange(site.store.prefix + "events")
    pairs = [(fields[b"event"].decode(), fields[b"id"].decode()) for _, fields in rows]
    return [pair for pair in pairs if pair[0] in events]


def alerts(site: ClaudeSite) -> list[str]:
    logs = "".join(path.read_text() for path in site.folder.glob("consumer-*.log"))
    return [line for line in logs.splitlines() if "the gate is closed for" in line]


def submit_many(site: ClaudeSite, count: int) -> list[str]:
    """In one go: a Python process for each would take longer than the tasks."""
    lines = "\n".join(
        f"print(claude({script(say(f'answer {number}'))!r}).id)" for number in range(count)
    )
    return site.python(f"from tasks import claude\n{lines}").split()


def test_thirty_tasks_meet_a_limit_and_lose_no_attempt(
    short_tmp: Path, tell: Callable[[str], None]
) -> None:
    with (
        standin("--quota", f"5:{RESET_S}") as api,
        site_of(short_tmp, api, CONSUMERS, LOGIN) as site,
    ):
        ids = submit_many(site, TASKS)
        consume(site, CONSUMERS)
        store = site.store

        def all_done() -> bool:
            return store.counts()[State.SUCCEEDED] == TASKS

        wait_until(all_done, 180, "all have succeeded")
        records = [record for record in store.records(ids) if record]
        assert [record.counted for record in records] == [0] * TASKS
        assert {site.text(task_id) for task_id in ids} == {f"answer {n}" for n in range(TASKS)}
        happened = told(site, "gate closed", "gate stays closed", "leased", "gate opened")
        words = [event for event, _ in happened if event != "leased"]
        assert words == ["gate closed", "gate opened"]
        closed, opened = (happened.index((word, "")) for word in words)
        assert [event for event, _ in happened[closed + 1 : opened]] == ["leased"]  # the probe
        refused = [entry for entry in api.requests() if entry["status"] == 429]
        assert 1 <= len(refused) <= CONSUMERS  # those that were at work when it struck
        assert sum(record.attempt for record in records) == TASKS + len(refused)
        assert len(alerts(site)) == 1
        tell(f"{TASKS} tasks met a limit: {len(refused)} refused, 1 probe, 0 attempts counted")


def test_a_probe_that_is_killed_with_its_runner_leaves_the_right_to_another(
    short_tmp: Path,
) -> None:
    with standin() as api, site_of(short_tmp, api, 2) as site:
        store = site.store
        probe_id = site.submit(script(say("at last"), hang="before", times=1))
        looks = Looks(60_000)
        store.close_gate(USUAL, "usage limit", by="t", why="spent", until_ms=1, looks=looks)
        store.client.zadd(store.prefix + "gate", {f"{USUAL}|usage limit": 1})
        consume(site, 2)
        wait_until(lambda: api.requests(), 60, "the probe asks")
        others = submit_many(site, 2)
        assert store.gate()[0].probe == probe_id
        record = store.record(probe_id)
        assert record is not None
        runner = json.loads((site.attempt(probe_id) / "runner.json").read_text())["pid"]
        site.kill(record.owner.rpartition(":")[2])
        os.kill(runner, signal.SIGKILL)
        for task_id in others:
            assert site.finish(task_id).state is State.SUCCEEDED
        store.hasten(probe_id)
        assert site.finish(probe_id).state is State.SUCCEEDED
        leases = told(site, "gate opened", "leased")
        opened = leases.index(("gate opened", ""))
        assert [task for _, task in leases[:opened]] == [probe_id, others[0]]
        assert store.gate() == []


@pytest.mark.parametrize("credential", [API_KEY, LOGIN], ids=["api_key", "login"])
def test_a_refused_login_is_seen_within_seconds_and_tried_until_it_works(
    short_tmp: Path, credential: str, tell: Callable[[str], None]
) -> None:
    with standin() as api, site_of(short_tmp, api, 1, credential) as site:
        store = site.store
        consume(site, 1)
        task_id = site.submit(script(error=401))
        wait_until(lambda: store.gate(), 60, "the gate closes")
        seconds = time.time() - api.requests()[0]["time"]
        assert seconds < 15  # the CLI itself would go on for minutes with a key
        record = site.wait_for(task_id, State.QUEUED)
        assert (record.counted, record.outcome) == (0, "auth")
        [entry] = store.gate()
        assert (entry.scope, entry.reason, entry.tries) == (USUAL, "login", 0)
        assert entry.until_ms is not None
        assert 200_000 < entry.until_ms - entry.since_ms < 400_000
        assert len(alerts(site)) == 1
        assert "baton up" in alerts(site)[0]
        assert ("baton login" in alerts(site)[0]) == (credential == LOGIN)
        asked = len(api.requests())
        other = site.submit(script(say("it works again")))
        _over(site)
        wait_until(lambda: store.gate()[0].tries == 1, 60, "a probe has failed")
        assert len(api.requests()) > asked
        site.wait_for(task_id, State.QUEUED)
        assert len(alerts(site)) == 1
        store.cancel(task_id)
        _over(site)
        assert site.finish(other).state is State.SUCCEEDED
        assert store.gate() == []
        tell(f"{credential}: {seconds:.1f} s from the first 401 until the gate was closed")


def test_a_consumer_that_starts_with_another_key_finds_the_gate_of_the_old_one_open(
    short_tmp: Path,
) -> None:
    with standin() as api, site_of(short_tmp, api, 1) as site:
        consume(site, 1)
        refused = site.submit(script(error=401))
        wait_until(site.store.gate, 60, "the gate closes")
        site.wait_for(refused, State.QUEUED)
        site.store.cancel(refused)
        waiting = site.submit(script(say("it works again")))
        site.stop("consumer-1")
        dotenv(short_tmp, api, "ANTHROPIC_API_KEY=another")
        site.start("consumer", "1")
        assert site.store.gate() == []
        assert site.finish(waiting).state is State.SUCCEEDED


def _over(site: ClaudeSite) -> None:
    """The time of the login's gate is over: nobody waits five minutes."""
    store = site.store
    store.client.zadd(store.prefix + "gate", {f"{USUAL}|login": store.now_ms() - 1})
    store.client.zadd(store.prefix + "wake:default", {"look": 0})
