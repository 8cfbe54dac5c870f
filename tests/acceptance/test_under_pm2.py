"""The promises under the real PM2: whatever is killed, the task comes to one end."""

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from durable.records import State
from tests.acceptance.claude_pm2_site import ClaudePm2Site
from tests.acceptance.claude_site import (
    bash,
    claude_settings,
    dotenv,
    marked,
    say,
    script,
)
from tests.acceptance.standin_process import standin
from tests.conftest import wait_until

PROGRAM = """\
import json
print(json.dumps({"id": 7, "title": "a broken button"}))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClaudePm2Site]:
    folder = Path(tempfile.mkdtemp(prefix="bp-"))
    (folder / "program.py").write_text(PROGRAM)
    (folder / "my_tasks.py").write_text(
        "from tasks import claude\n\n"
        "@claude.task(allowed_tools=['Bash'])\n"
        "def triage(word):\n"
        '    return f\'STANDIN: {{"steps": [{{"text": "triaged {word}"}}]}}\'\n'
    )
    with standin() as api:
        dotenv(folder, api)
        own = ClaudePm2Site(folder, configuration(folder))
        try:
            own.baton("up")
            yield own
        finally:
            own.close()
            shutil.rmtree(folder, ignore_errors=True)


def configuration(folder: Path) -> dict[str, object]:
    reply = script(say("the {which} task is done"))
    return {
        "instance": "pm2test",
        "consumers": 1,
        "claude": claude_settings(),
        "tasks": ["my_tasks"],
        "watchers": {
            "inbox": {
                "path": "Inbox",
                "done": "Done",
                "failed": "Failed",
                "settle": "100ms",
                "prompt": "{{ path }}\n" + reply.replace("{which}", "file"),
            }
        },
        "pollers": {
            "program": {
                "every": "1h",
                "command": [sys.executable, str(folder / "program.py")],
                "prompt": "Item {{ id }}\n" + reply.replace("{which}", "item"),
            }
        },
        "schedules": {
            "minutely": {"cron": "* * * * *", "prompt": reply.replace("{which}", "tick")}
        },
    }


def only_one_end(site: ClaudePm2Site, task_id: str) -> None:
    """One final state, one settle in the events, and nothing of any attempt alive."""
    found: Any = site.store.client.xrange("{pm2test}:events")
    ends = [f for _, f in found if f[b"id"].decode() == task_id and f[b"event"] == b"succeeded"]
    assert len(ends) == 1
    assert not marked(f"BATON_ATTEMPT={task_id}")


def test_a_file_an_item_a_tick_and_a_shell_each_become_a_finished_task(site: ClaudePm2Site) -> None:
    (site.folder / "Inbox" / "a file.txt").write_text("hello")
    shell = site.python(
        "from tasks import claude\n"
        f"print(claude({script(say('the shell task is done'))!r}, key='once').get(blocking=True, timeout=60)['text'])"
    )
    assert shell.strip() == "the shell task is done"
    site.python(
        f"import sys; sys.path.insert(0, {str(site.folder)!r})\n"
        "from my_tasks import triage; print(triage('it').get(blocking=True, timeout=60)['text'])"
    )
    wanted = {"watcher:inbox", "poller:program", "schedule:minutely"}

    def sources() -> set[str]:
        return {r.source for r in site.store.page(State.SUCCEEDED)}

    wait_until(lambda: wanted <= sources(), 100, "each source has a finished task")
    texts = {r.source: site.text(r.id) for r in site.store.page(State.SUCCEEDED)}
    assert texts["watcher:inbox"] == "the file task is done"
    assert texts["poller:program"] == "the item task is done"
    assert texts["schedule:minutely"] == "the tick task is done"
    wait_until((site.folder / "Done" / "a file.txt").exists, 10, "the file is in Done")
    assert site.store.counts()[State.FAILED] == 0


@pytest.mark.parametrize("app", ["pm2test-consumer-1", "pm2test-redis"])
def test_a_kill_in_mid_run_ends_in_one_result(site: ClaudePm2Site, app: str) -> None:
    seen = site.folder / f"seen-{app}"
    task_id = site.submit(script(bash(f"echo x >> {seen}; sleep 3"), say("survived")))
    wait_until(seen.exists, 60, "the tool runs")
    first = marked(f"BATON_ATTEMPT={task_id}/1")
    assert first
    site.kill_app(app)
    record = site.finish(task_id, 60)
    assert record.state is State.SUCCEEDED
    assert site.text(task_id) == "survived"
    assert not set(first) & set(marked(f"BATON_ATTEMPT={task_id}"))
    only_one_end(site, task_id)
    if app.endswith("redis"):
        assert record.attempt == 1  # the run went on without Redis


def test_a_watcher_killed_between_claim_and_submit_neither_loses_nor_doubles(
    site: ClaudePm2Site,
) -> None:
    """The watcher kills itself at the fault point, once; PM2 starts the next one."""
    before = site.done_by("watcher:inbox")
    with (site.folder / ".env").open("a") as env:
        env.write("BATON_FAULT=watcher:claimed\n")
    site.baton("restart", "watch-inbox")
    first = site.pid("pm2test-watch-inbox")
    (site.folder / "Inbox" / "third.txt").write_text("and again")
    wait_until((site.folder / "Done" / "third.txt").exists, 60, "the file is done all the same")
    assert site.pid("pm2test-watch-inbox") != first
    assert site.done_by("watcher:inbox") == before + 1


def test_a_second_up_touches_nothing_that_did_not_change(site: ClaudePm2Site) -> None:
    apps = ["redis", "watch-inbox", "poll-program", "scheduler", "consumer-1"]
    before = {app: site.pid(f"pm2test-{app}") for app in apps}
    site.baton("up")
    assert {app: site.pid(f"pm2test-{app}") for app in apps} == before


def test_the_apps_see_nothing_of_the_shell_that_started_them(site: ClaudePm2Site) -> None:
    for app in ("redis", "watch-inbox", "scheduler", "consumer-1"):
        environ = Path(f"/proc/{site.pid('pm2test-' + app)}/environ").read_bytes()
        assert b"PYTEST_CURRENT_TEST" not in environ


def test_status_says_why_the_gate_is_closed_and_what_to_do(site: ClaudePm2Site) -> None:
    site.store.close_gate("claude", "login", by="test", why="not logged in: run ./baton login")
    shown = site.baton("status")
    assert "./baton login" in shown
    assert json.loads(site.baton("status", "--json"))
    site.baton("unpause", "login")
    assert site.store.gate() == []


def test_down_leaves_nothing_behind(site: ClaudePm2Site) -> None:
    """Not even a run whose consumer was stopped by hand, so that nobody has it in hand."""
    seen = site.folder / "seen-down"
    task_id = site.submit(script(bash(f"echo x >> {seen}; sleep 100"), say("survived")))
    wait_until(seen.exists, 60, "the tool runs")
    site.raw_pm2("stop", "pm2test-consumer-1")
    site.baton("down")
    assert site.left() == {}
    assert not marked(f"BATON_ATTEMPT={task_id}")
