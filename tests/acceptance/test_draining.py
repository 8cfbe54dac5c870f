"""A consumer that is removed from baton.yaml, under the real PM2: nothing that runs is interrupted."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from durable.records import State
from tests.acceptance.claude_pm2_site import ClaudePm2Site
from tests.acceptance.claude_site import bash, claude_settings, dotenv, say, script
from tests.acceptance.standin_process import standin
from tests.conftest import wait_until

FIRST, SECOND = "drain-consumer-1", "drain-consumer-2"


@pytest.fixture
def site() -> Iterator[ClaudePm2Site]:
    folder = Path(tempfile.mkdtemp(prefix="bd-"))
    with standin() as api:
        dotenv(folder, api)
        own = ClaudePm2Site(folder, configuration(2))
        try:
            own.facts("up")
            yield own
        finally:
            own.close()
            shutil.rmtree(folder, ignore_errors=True)


def configuration(consumers: int) -> dict[str, Any]:
    return {"instance": "drain", "consumers": consumers, "claude": claude_settings()}


def steps(site: ClaudePm2Site, consumers: int) -> dict[str, list[str]]:
    """What `up` does about so many consumers."""
    site.configure(configuration(consumers))
    found: dict[str, list[str]] = site.facts("up")["steps"]
    return {word: [n for n in names if "consumer" in n] for word, names in found.items() if names}


def state_of(site: ClaudePm2Site, app: str) -> str:
    return next(str(row["state"]) for row in site.facts("status")["apps"] if row["name"] == app)


def begun(site: ClaudePm2Site, name: str) -> str:
    """A task that is in a tool call until `finish`, and leaves one line for each time that it began."""
    go, lines = site.folder / f"go-{name}", site.folder / f"lines-{name}"
    wait = bash(f"echo x >> {lines}; while ! test -e {go}; do sleep 0.1; done")
    task_id = site.submit(script(wait, say("all done")))
    wait_until(lines.exists, 40, f"{name} is in its tool")
    return task_id


def owner(site: ClaudePm2Site, task_id: str) -> str:
    record = site.store.record(task_id)
    return record.owner.rpartition(":")[2] if record else ""


def end(site: ClaudePm2Site, name: str, task_id: str) -> None:
    """Let it end: in its first attempt, in which each step happened once."""
    (site.folder / f"go-{name}").touch()
    record = site.finish(task_id)
    assert (record.state, record.attempt, record.counted) == (State.SUCCEEDED, 1, 0)
    assert (site.folder / f"lines-{name}").read_text() == "x\n"


def test_a_consumer_that_is_removed_finishes_its_run_claims_no_other_and_goes(
    site: ClaudePm2Site,
) -> None:
    both = sorted(((n, begun(site, n)) for n in "ab"), key=lambda pair: owner(site, pair[1]))
    other, own = both
    pid = site.pid(SECOND)

    site.configure(configuration(1))
    assert f"{SECOND} is no longer in baton.yaml; it finishes" in site.baton("up")
    assert state_of(site, SECOND) == "draining"
    assert steps(site, 2) == {"keep": [FIRST, SECOND]}  # wanted again in time
    assert site.pid(SECOND) == pid

    assert steps(site, 1) == {"keep": [FIRST], "drain": [SECOND]}
    site.kill_app(SECOND)  # the copy that PM2 starts knows no queue, so it is started once more
    assert steps(site, 2) == {"keep": [FIRST], "replace": [SECOND]}
    queued = site.submit(script(say("all done")))
    end(site, *own)
    site.finish(queued)
    assert owner(site, queued) == "consumer-2"

    last = begun(site, "last")
    assert steps(site, 1) == {"keep": [FIRST], "drain": [SECOND]}
    site.kill_app(SECOND)  # it takes its run over, and drains on
    queued = site.submit(script(say("all done")))
    end(site, "last", last)
    wait_until(lambda: state_of(site, SECOND) == "drained", what="it has gone")
    assert (site.process(SECOND).exit_code, site.pids()[SECOND]) == (79, 0)
    record = site.store.record(queued)
    assert record is not None
    assert (record.state, record.attempt) == (State.QUEUED, 0)

    assert steps(site, 2) == {"keep": [FIRST], "replace": [SECOND]}
    site.finish(queued)
    assert steps(site, 1) == {"keep": [FIRST], "remove": [SECOND]}  # idle: gone before `up` ends
    assert SECOND not in site.pids()
    end(site, *other)
    assert not list((site.folder / "var" / "draining").iterdir())
