"""Restarts under the real PM2 that interrupt no run: by hand, for new code, and for memory."""

import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cli.applogs import Source, tail
from durable.records import State
from tests.acceptance.claude_pm2_site import ClaudePm2Site
from tests.acceptance.claude_site import bash, claude_settings, dotenv, marked, say, script
from tests.acceptance.standin_process import standin
from tests.conftest import wait_until

APPS = [f"roll-{name}" for name in ("redis", "scheduler", "consumer-1", "consumer-2")]

TASKS = """\
import pathlib, sys, threading, time

def grow():
    file = pathlib.Path(__file__).with_name("grow-" + "-".join(sys.argv[1:]))
    while not file.exists():
        time.sleep(0.05)
    file.unlink()
    kept.append(b"x" * 400_000_000)

kept = []
if sys.argv[0].endswith("app.py"):
    threading.Thread(target=grow, daemon=True).start()
"""


@pytest.fixture(scope="module")
def site() -> Iterator[ClaudePm2Site]:
    folder = Path(tempfile.mkdtemp(prefix="br-"))
    with standin() as api:
        dotenv(folder, api)
        (folder / "my_tasks.py").write_text(TASKS)
        own = ClaudePm2Site(folder, configuration())
        try:
            own.raw_pm2("ping", env={"PM2_WORKER_INTERVAL": "500"})  # it looks every 30 s otherwise
            own.facts("up")
            yield own
        finally:
            own.close()
            shutil.rmtree(folder, ignore_errors=True)


def configuration(**more: Any) -> dict[str, Any]:
    return {
        "instance": "roll",
        "consumers": 2,
        "claude": claude_settings(),
        "tasks": ["my_tasks"],
        "max_memory": "300MB",
        **more,
    }


@pytest.fixture
def run(site: ClaudePm2Site) -> Iterator[str]:
    """A Claude task in the middle of a tool call; at the end it is one attempt that did everything once."""
    with tempfile.TemporaryDirectory(dir=site.folder) as own:
        go, lines = Path(own) / "go", Path(own) / "lines"
        wait = bash(f"echo x >> {lines}; while ! test -e {go}; do sleep 0.1; done")
        task_id = site.submit(script(wait, say("all done")))
        wait_until(lines.exists, 60, "it is in its tool")
        yield task_id
        assert marked(f"BATON_ATTEMPT={task_id}/1"), site.call("logs", "--lines", "100")[1]
        go.touch()
        record = site.finish(task_id)
        assert (record.state, record.attempt, record.counted) == (State.SUCCEEDED, 1, 0)
        assert lines.read_text() == "x\n"


def ready_ms(site: ClaudePm2Site, app: str) -> float:
    """When an app said last that it was ready."""
    log = Source(app, site.folder / "var" / "logs" / f"{app}.log")
    said = [entry["at"] for entry in tail(log) if entry["message"] == "ready"]
    return datetime.fromisoformat(said[-1]).timestamp() * 1000


def test_a_restart_is_rolling_and_interrupts_no_run(site: ClaudePm2Site, run: str) -> None:
    before = site.pids()
    assert site.facts("restart")["steps"]["replace"] == APPS
    after = site.pids()
    assert all(after[app] != before[app] for app in APPS)
    for one, following in itertools.pairwise(APPS):
        assert ready_ms(site, one) <= site.process(following).started_ms, (
            "each is ready before the next"
        )


def test_a_consumer_that_has_grown_is_restarted_and_its_run_goes_on(
    site: ClaudePm2Site, run: str
) -> None:
    record = site.store.record(run)
    assert record
    name = record.owner.rpartition(":")[2]
    app = f"roll-{name}"
    first = site.pid(app)
    (site.folder / f"grow-{name}").touch()
    wait_until(lambda: site.ready(app) not in (None, first), 60, "it is started again")
    assert site.process(app).restarts >= 1
    assert site.process(app).memory_bytes < 300_000_000


def wrong_tasks(site: ClaudePm2Site) -> None:
    (site.folder / "my_tasks.py").write_text("import nothing_like_that\n")


def wrong_settings(site: ClaudePm2Site) -> None:
    site.configure(configuration(nonsense=1))


@pytest.mark.parametrize(
    ("spoil", "words"), [(wrong_tasks, "nothing_like_that"), (wrong_settings, "nonsense")]
)
def test_what_is_wrong_is_said_before_anything_is_touched(
    site: ClaudePm2Site, spoil: Callable[[ClaudePm2Site], None], words: str
) -> None:
    before = site.pids()
    spoil(site)
    try:
        for verb in ("up", "restart"):
            status, out, errors = site.call(verb)
            assert status == 1
            assert words in errors, out
        assert site.pids() == before
    finally:
        (site.folder / "my_tasks.py").write_text(TASKS)
        site.configure(configuration())


def test_new_code_that_does_not_start_stops_at_the_first_app(site: ClaudePm2Site, run: str) -> None:
    """The others work on with what they had."""
    before = site.pids()
    (site.folder / "my_tasks.py").write_text(
        "import sys\nif sys.argv[0].endswith('app.py'):\n    import nothing_like_that\n"
    )
    status, out, _ = site.call("up")
    (site.folder / "my_tasks.py").write_text(TASKS)
    assert status == 1
    assert "roll-scheduler" in out
    assert "nothing_like_that" in out
    after = site.pids()
    assert {app for app in APPS if after[app] != before[app]} == {"roll-scheduler"}
    assert site.facts("up")["steps"]["replace"] == ["roll-scheduler"]


def test_when_the_daemon_alone_is_killed_all_work_on_and_the_next_takes_over(
    site: ClaudePm2Site, run: str
) -> None:
    before = {app: site.pid(app) for app in APPS}
    site.kill_daemon()
    short = site.submit(script(say("all done")))  # the consumer that has no run takes it
    assert site.finish(short).state is State.SUCCEEDED
    assert {app: site.pid(app) for app in APPS} == before
    site.facts("up")
    after = site.pids()
    assert {app: site.ready(app) for app in APPS} == after
    assert not set(after.values()) & set(before.values())
