"""The verbs that act on tasks, several at a time, and what every verb tells a program; on a real server."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli import queue
from cli.__main__ import main
from cli.parser import parser
from cli.pm2 import Pm2
from durable.problems import Problems
from durable.records import Lease, State, Submission
from tests.conftest import ROOT
from tests.site import Site

[ACTION] = [a for a in parser()._actions if a.dest == "verb"]
VERBS: dict[str, Any] = dict(ACTION.choices)  # type: ignore[arg-type]
#: These say what they do while they do it, or hand over to another program.
NO_FACTS = {"down", "login", "shell", "check", "demo", "test", "chaos", "boot", "apps"}
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = Path(os.path.realpath(tmp_path_factory.mktemp("a")))
    inbox = {"path": "Inbox", "prompt": "Read {{ path }}"}
    made = Site(folder, {"consumers": 1, "watchers": {"inbox": inbox}})
    made.start("redis")
    yield made
    made.close()


@pytest.fixture
def site(own: Site) -> Site:
    own.store.client.flushall()
    for made in ("Inbox", "var/attempts"):
        shutil.rmtree(own.folder / made, ignore_errors=True)
    return own


@pytest.fixture
def call(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Call]:
    """A call of the command line in this process: its exit status, and what it printed."""
    for name, value in site.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("USER", "somebody")
    queue.settings.cache_clear()

    def made(*words: str) -> tuple[int, str, str]:
        status = main(words)
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    yield made
    queue.settings.cache_clear()


@pytest.fixture
def away(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """The same, of an instance whose Redis and PM2 were never started."""
    monkeypatch.setenv("BATON_VAR", str(tmp_path))
    monkeypatch.setenv("PM2_HOME", str(tmp_path))
    return call


def put_in(site: Site, *ids: str, **more: Any) -> None:
    site.store.submit([Submission(id=task_id, body=b"{}", **more) for task_id in ids])


def state(site: Site, task_id: str) -> str:
    record = site.store.record(task_id)
    return record.state.value if record else "gone"


def run(site: Site, task_id: str) -> Lease:
    site.store.hasten(task_id)
    lease = site.store.claim("i:h:consumer-9", f"n{task_id}", ["default"], 30_000)
    assert isinstance(lease, Lease)
    assert lease.id == task_id
    return lease


def end(site: Site, task_id: str, *, hours_ago: int = 0, how: State = State.SUCCEEDED) -> None:
    assert site.store.settle(run(site, task_id), how, outcome=how.value)
    then = site.store.now_ms() - hours_ago * 3_600_000
    prefix = site.store.prefix
    site.store.client.zadd(f"{prefix}finished:{how.value}", {task_id: then})
    site.store.client.hset(f"{prefix}task:{task_id}", "finished_ms", then)


def test_a_task_is_held_with_a_reason_and_released(site: Site, call: Call) -> None:
    put_in(site, "aa1")
    assert call("hold", "aa", "--reason", "wait for Anna")[1] == (
        "aa1 (was queued) is held: wait for Anna. ./baton release aa1 sends it on.\n"
    )
    assert state(site, "aa1") == "held"
    assert "wait for Anna" in call("why", "aa1")[1]
    assert "./baton release aa1 sends it on" in call("why", "aa1")[1]
    assert call("hold", "aa1")[:2] == (0, "aa1 is held already.\n")
    assert call("release", "aa1")[1] == "aa1 (was held) is back in the queue.\n"
    assert state(site, "aa1") == "queued"


def test_who_held_a_task_is_known_when_nobody_says_why(site: Site, call: Call) -> None:
    put_in(site, "aa1", due_ms=site.store.now_ms() + 3_600_000)
    facts = json.loads(call("hold", "aa1", "--json")[1])
    assert facts == {"id": "aa1", "was": "scheduled", "state": "held"}
    record = site.store.record("aa1")
    assert record
    assert record.reason == "held by somebody"


@pytest.mark.parametrize(
    ("verb", "how", "words"),
    [
        ("hold", "running", "./baton cancel aa1"),
        ("hold", "succeeded", "only one that waits"),
        ("release", "queued", "is queued, not held"),
        ("release", "failed", "./baton retry aa1"),
        ("retry", "queued", "only a held, failed or cancelled one"),
    ],
)
def test_what_cannot_be_done_says_why_and_what_can(
    site: Site, call: Call, verb: str, how: str, words: str
) -> None:
    put_in(site, "aa1")
    if how == "running":
        run(site, "aa1")
    elif how != "queued":
        end(site, "aa1", how=State(how))
    status, out, said = call(verb, "aa1")
    assert (status, out) == (1, "")
    assert words in said
    assert state(site, "aa1") == how


@pytest.mark.parametrize(
    ("verb", "before", "after"),
    [
        ("cancel", "queued", "cancelled"),
        ("hold", "queued", "held"),
        ("release", "held", "queued"),
        ("retry", "held", "queued"),
    ],
)
def test_several_are_acted_on_each_by_itself(
    site: Site, call: Call, verb: str, before: str, after: str
) -> None:
    put_in(site, "aa1", "ab1", "ac1", "ac2")
    for task_id in ("aa1", "ab1") if before == "held" else ():
        site.store.hold(task_id, "a look is wanted")
    status, out, said = call(verb, "aa", "none", "ac", "ab1", "aa")
    assert status == 1
    assert [line.split()[0] for line in out.splitlines()] == ["aa1", "ab1"]
    assert "none: no task has the id" in said
    assert "ac: 2 tasks have an id that begins with" in said
    assert [state(site, i) for i in ("aa1", "ab1", "ac1")] == [after, after, "queued"]


def test_of_several_each_id_is_said_once(site: Site, call: Call) -> None:
    put_in(site, "aa1", "ab1")
    call("cancel", "aa1", "ab1")
    said = call("cancel", "aa1", "ab1")[2]
    assert "aa1: " not in said
    assert "Task ab1 has ended" in said


def test_what_runs_runs_in_a_consumer_that_has_a_name(site: Site, call: Call) -> None:
    put_in(site, "aa1")
    run(site, "aa1")
    owner = site.store.record("aa1").owner  # type: ignore[union-attr]
    assert f" in {owner.rpartition(':')[2]}" in call("why", "aa1")[1]
    assert owner not in call("why", "aa1")[1]


def test_a_list_of_what_there_is_none_of_advises_nothing(call: Call) -> None:
    assert call("list", "--state", "scheduled")[1] == "No task like that.\n"


def test_a_program_gets_one_list_of_what_became_of_several(site: Site, call: Call) -> None:
    put_in(site, "aa1", "ab1")
    status, out, _ = call("cancel", "aa1", "zz", "ab1", "--json")
    found = json.loads(out)
    assert status == 1
    assert [(one["id"], one.get("state")) for one in found] == [
        ("aa1", "cancelled"),
        ("zz", None),
        ("ab1", "cancelled"),
    ]
    assert "no task has the id" in found[1]["error"]


def test_prune_removes_what_ended_longer_ago_with_its_folders(site: Site, call: Call) -> None:
    put_in(site, "aa1", "ab1", "ac1", "ad1")
    end(site, "aa1", hours_ago=50)
    end(site, "ab1", hours_ago=30, how=State.FAILED)
    end(site, "ac1", hours_ago=2)
    attempts = site.folder / "var" / "attempts"
    for task_id in ("aa1", "ac1"):
        (attempts / task_id / "1").mkdir(parents=True)
    said = call("prune", "1d", "--dry-run")[1]
    assert said == "Would remove 2 tasks that ended longer than 1d ago: 1 succeeded, 1 failed.\n"
    assert state(site, "aa1") == "succeeded"
    found = json.loads(call("prune", "1d", "--json")[1])
    assert sorted(found["removed"]) == ["aa1", "ab1"]
    assert [state(site, i) for i in ("aa1", "ab1", "ac1", "ad1")] == [
        *("gone", "gone", "succeeded", "queued")
    ]
    assert [folder.name for folder in attempts.iterdir()] == ["ac1"]
    assert call("prune", "1d")[1] == "No task ended longer than 1d ago.\n"


def test_prune_leaves_what_a_watcher_has_in_hand_and_what_ended_after_it(
    site: Site, call: Call
) -> None:
    put_in(site, "aa1", "ab1", "ac1")
    for task_id, hours in (("aa1", 50), ("ab1", 40), ("ac1", 30)):
        end(site, task_id, hours_ago=hours)
    (site.folder / "Inbox" / ".claimed" / "ab1").mkdir(parents=True)
    said = call("prune", "1d")[1]
    assert "Removed 1 task that" in said
    assert "2 tasks of that age stay until their watcher" in said
    assert [state(site, i) for i in ("aa1", "ab1", "ac1")] == ["gone", "succeeded", "succeeded"]


@pytest.mark.parametrize("age", ["", "soon", "-1d"])
def test_an_age_that_is_none_is_not_understood(call: Call, age: str) -> None:
    with pytest.raises(SystemExit) as ended:
        call("prune", age)
    assert ended.value.code == 2


#: Of every verb that prints facts a call, with what else it takes. Those of the second row load the tasks.
IN_PROCESS = {
    "status": [], "list": [], "show": ["a"], "logs": ["a"], "why": ["a"], "costs": [],
    "cancel": ["a"], "retry": ["a"], "hold": ["a"], "release": ["a", "b"], "prune": ["1d"],
    "pause": [], "unpause": [], "alerts": [],
}  # fmt: skip
WITH_TASKS = {"add": ["x"], "schedules": [], "run": ["x"], "poll": ["x"]}


def facts_of(printed: str) -> Any:
    return json.loads(printed)


@pytest.mark.parametrize("verb", IN_PROCESS)
def test_with_redis_away_a_program_still_gets_one_document(
    away: Call, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.setattr("cli.cancel._PATIENCE_S", 0.1)
    status, out, _ = away(verb, *IN_PROCESS[verb], "--json")
    found = facts_of(out)
    if verb == "status":
        assert status == 0
        assert found["counts"] is None
        assert "Redis does not answer" in found["missing"][0]["problem"]
    else:
        assert status == 1
        assert "./baton up starts it" in found["error"]


def test_so_does_one_of_a_verb_that_loads_the_tasks(own: Site, tmp_path: Path) -> None:
    env = own.env | {"BATON_VAR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    for verb, more in WITH_TASKS.items():
        done = subprocess.run(
            [sys.executable, "-P", "-m", "cli", verb, *more, "--json"],
            env=env,
            capture_output=True,
            text=True,
        )
        found = facts_of(done.stdout)
        assert (done.returncode, found) == (0, []) or (
            done.returncode == 1 and found["error"] in done.stderr.strip()
        ), verb


def test_every_verb_that_prints_facts_is_asked() -> None:
    asked = {*IN_PROCESS, *WITH_TASKS, "up", "restart", "doctor"}  # these have tests of their own
    for verb, one in VERBS.items():
        takes_json = "--json" in getattr(one, "_option_string_actions", ())
        assert takes_json == (verb in asked) or verb in NO_FACTS, verb


def test_the_gate_is_told_to_a_program(site: Site, call: Call) -> None:
    [entry] = json.loads(call("pause", "moving", "--json")[1])["gate"]
    assert (entry["reason"], entry["why"]) == ("pause", "moving")
    assert json.loads(call("unpause", "--json")[1]) == {"gate": []}
    status, out, _ = call("unpause", "login", "--json")
    assert status == 1
    assert "not closed for 'login'" in json.loads(out)["error"]


def test_what_a_task_or_a_person_wrote_moves_no_cursor_whichever_verb_says_it(
    site: Site, call: Call
) -> None:
    """A reason may be what a task failed with, and a source or a key what somebody else made up."""
    evil = "\x1b]0;x\x07\x9b2J"
    for task_id in ("aa1", "bb2"):
        submission = Submission(
            id=task_id, body=b"{}", source=f"poller:{evil}", key=evil + task_id, kind="python"
        )
        site.store.submit([submission])
    site.store.submit([Submission(id="cc3", body=b"{}", queue=f"q{evil}", lock=evil)])
    site.store.announce("i:h:consumer-1", f"host{evil}", ["default"])
    site.store.close_gate("all", "pause", by=evil, why=evil)
    for subject in ("watcher:inbox", f"poller:{evil}"):
        Problems(site.store.client, site.store.prefix, host=f"h{evil}").tell(subject, evil)
    looks = [
        ("list",), ("status",), ("why", "inbox"), ("why", "cc3"), ("show", "cc3"),
        ("show", "aa1"), ("why", "aa1"), ("logs", "aa1"), ("show", evil),
        ("release", evil, evil + "2"), ("costs",), ("schedules",),
    ]  # fmt: skip
    acts = [("hold", "aa1", "--reason", evil), ("hold", "aa1"), ("retry", "aa1"), ("cancel", "bb2")]
    for words in (*looks, *acts[:2], *looks, *acts[2:], *looks):
        _, out, err = call(*words)
        said = out + err
        assert not [c for c in said if not c.isprintable() and c not in "\n\t"], (words, said)


def test_a_pm2_that_stands_still_keeps_nothing_else_from_being_shown(
    site: Site, call: Call, monkeypatch: pytest.MonkeyPatch, short_tmp: Path
) -> None:
    monkeypatch.setattr("cli.pm2_socket._PATIENCE_S", 0.1)
    monkeypatch.setattr("cli.instance._PM2_S", 0.5)
    still = short_tmp / "pm2"
    still.write_text("#!/bin/sh\nexec sleep 60\n")
    still.chmod(0o755)
    monkeypatch.setattr(Pm2, "_executable", lambda self: str(still))
    monkeypatch.setenv("PM2_HOME", str(short_tmp))
    site.store.submit([Submission(id="aa1", body=b"{}")])
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.bind(str(short_tmp / "rpc.sock"))
        daemon.listen()
        status, out, _ = call("status")
    assert status == 0
    assert "PM2 gave no answer to 'jlist' within 0 s" in out
    assert "queued 1" in out
