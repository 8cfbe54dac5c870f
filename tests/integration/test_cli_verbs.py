"""The verbs of the queue on a real server, as a person types them; no PM2, and no consumer."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from durable import identity
from durable.records import Lease, Record, State, Submission
from tests.conftest import ROOT
from tests.site import Site


@pytest.fixture
def site(short_tmp: Path) -> Iterator[Site]:
    made = Site(short_tmp, {"consumers": 1, "claude": {"command": "/no/such/claude"}})
    made.start("redis")
    yield made
    made.close()


def command(*words: str) -> list[str]:
    return [sys.executable, "-P", "-m", "cli", *words]


def env(site: Site) -> dict[str, str]:
    return site.env | {"PYTHONPATH": str(ROOT), "USER": "somebody", "PM2_HOME": str(site.folder)}


def baton(site: Site, *words: str, status: int = 0, stdin: str = "") -> str:
    """What a call prints; its exit status is checked."""
    done = subprocess.run(
        command(*words), env=env(site), cwd=site.folder, input=stdin, capture_output=True, text=True
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if status == 0 else done.stderr


def facts(site: Site, *words: str, **more: Any) -> Any:
    return json.loads(baton(site, *words, "--json", **more))


def record(site: Site, task_id: str) -> Record:
    found = site.store.record(task_id)
    assert found
    return found


def test_a_task_is_added_listed_shown_cancelled_and_retried(site: Site) -> None:
    added = facts(site, "add", "Say hello.", "--key", "k", "--priority", "3", "--model", "opus")
    task_id = added["id"]
    assert added["new"]
    [listed] = facts(site, "list")
    assert (listed["id"], listed["state"], listed["source"]) == (task_id, "queued", "cli")
    shown = facts(site, "show", task_id[:6])
    assert (shown["prompt"], shown["priority"], shown["key"]) == ("Say hello.", 3, "k")
    assert "body" not in shown

    done = facts(site, "cancel", task_id[:6])
    assert (done["id"], done["was"], done["state"]) == (task_id, "queued", "cancelled")
    assert record(site, task_id).state is State.CANCELLED
    assert "./baton show" in baton(site, "cancel", task_id, status=1)
    assert "has ended: cancelled" in baton(site, "cancel", task_id, status=1)
    assert facts(site, "retry", task_id)["was"] == "cancelled"
    assert record(site, task_id).state is State.QUEUED
    assert "is queued" in baton(site, "retry", task_id, status=1)


@pytest.mark.parametrize("verb", ["list", "status", "show", "why", "logs", "costs"])
def test_a_verb_that_looks_loads_only_what_is_quick_to_load(site: Site, verb: str) -> None:
    task_id = facts(site, "add", "One")["id"]
    attempt(site, task_id, 1, say("Hello."))
    words = [verb, task_id] if verb in ("show", "why", "logs") else [verb]
    code = f"import sys; from cli.__main__ import main; main({words}); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], env=env(site), capture_output=True, text=True
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "durable.views" in loaded, done.stderr
    heavy = {"redis", "huey", "asyncio", "ssl", "jinja2", "croniter", "cli.fingerprint"}
    assert not loaded & heavy


def test_a_second_task_of_the_same_key_is_not_put_in(site: Site) -> None:
    first = facts(site, "add", "One", "--key", "k")
    second = facts(site, "add", "Two", "--key", "k")
    assert second == {"id": first["id"], "new": False}
    assert "nothing was put in" in baton(site, "add", "Three", "--key", "k")


def test_a_task_that_waits_for_a_lock_says_for_whom(site: Site) -> None:
    first, second = (facts(site, "add", n, "--lock", "repo")["id"] for n in ("One", "Two"))
    found = site.store.claim("me", "n", ["default"], 30_000)
    assert isinstance(found, Lease)
    assert found.id == first
    assert "waits for" not in baton(site, "show", first)
    assert f"waits for  task {first}" in baton(site, "show", second)
    assert facts(site, "status")["sources"] == {"cli": {"queued": 1, "running": 1}}


def test_what_a_task_may_cost_and_who_pays_goes_in_with_it(site: Site) -> None:
    script = (
        "import tasks; plain = tasks.claude('One', max_budget_usd=0.5);"
        "keyed = tasks.claude('Two', env=['ANTHROPIC_API_KEY']);"
        "piped = tasks.claude.task(name='mine', env=['ANTHROPIC_API_KEY'], lock='l')(str);"
        "print(plain.id, keyed.id, piped('Three').id)"
    )
    (site.folder / ".env").write_text("ANTHROPIC_API_KEY=k\n")
    ids = baton(site, "shell", "-c", script).split()
    read = [
        site.store.client.hmget(f"{site.store.prefix}task:{i}", "kind", "budget", "lock")
        for i in ids
    ]
    assert read == [
        [b"claude", b"0.5", None],
        [b"claude:api_key", None, None],
        [b"claude:api_key", None, b"l"],
    ]


def test_a_prompt_may_come_on_standard_input(site: Site) -> None:
    task_id = facts(site, "add", "-", stdin="Line one\n--not-a-flag\n")["id"]
    assert facts(site, "show", task_id)["prompt"] == "Line one\n--not-a-flag\n"
    assert "empty" in baton(site, "add", "-", status=1, stdin=" \n")


def test_options_are_checked_before_anything_is_put_in(site: Site) -> None:
    assert "dontAsk" in baton(site, "add", "x", "--permission-mode", "nobody", status=1)
    assert facts(site, "list") == []


def test_list_chooses_by_state_and_source_and_number(site: Site) -> None:
    ids = [facts(site, "add", f"Task {n}")["id"] for n in range(3)]
    baton(site, "cancel", ids[0])
    assert [t["id"] for t in facts(site, "list", "--state", "cancelled")] == [ids[0]]
    assert [t["id"] for t in facts(site, "list")] == [ids[1], ids[2], ids[0]]
    assert len(facts(site, "list", "--limit", "2")) == 2
    limited = subprocess.run(
        command("list", "--limit", "1"), env=env(site), capture_output=True, text=True
    )
    assert len(limited.stdout.splitlines()) == 2
    assert limited.stderr == "… 2 more: ./baton list --limit 3\n"
    assert facts(site, "list", "--source", "watcher:inbox") == []
    assert "queued, scheduled" in baton(site, "list", "--state", "waiting", status=1)


def test_an_id_that_is_not_unique_or_not_there_is_said_so(site: Site) -> None:
    site.store.submit([Submission(id="aa1", body=b"{}"), Submission(id="aa2", body=b"{}")])
    assert "begins with" in baton(site, "show", "aa", status=1)
    assert "no task has the id" in baton(site, "show", "zzz", status=1)


def test_a_pause_stops_all_and_says_who_and_why(site: Site) -> None:
    baton(site, "pause", "moving", "house")
    [entry] = facts(site, "status")["gate"]
    assert (entry["scope"], entry["by"], entry["why"]) == ("all", "somebody", "moving house")
    assert entry["remedy"] == "./baton unpause"
    assert "./baton unpause" in baton(site, "status")
    assert "closed for: pause" in baton(site, "unpause", "login", status=1)
    baton(site, "unpause")
    assert facts(site, "status")["gate"] == []


def test_one_reason_is_opened_without_the_others(site: Site) -> None:
    site.store.close_gate("claude", "usage limit", by="t", why="spent", until_ms=None)
    baton(site, "pause")
    assert "still closed for: pause" in baton(site, "unpause", "usage", "limit")
    assert [e["reason"] for e in facts(site, "status")["gate"]] == ["pause"]


def test_add_says_what_the_task_waits_for(site: Site) -> None:
    def said(*words: str) -> str:
        done = subprocess.run(
            command("add", *words), env=env(site), cwd=site.folder, capture_output=True, text=True
        )
        assert done.returncode == 0
        return " ".join(done.stderr.split())

    assert said("One") == ""
    until = site.store.now_ms() + 3_600_000
    site.store.close_gate("claude:default", "login", by="t", why="It is refused.", until_ms=until)
    site.store.close_gate("claude:api_key", "billing", by="t", why="")
    login = said("Two", "--key", "k")
    assert login.startswith("It waits: the gate is closed for Claude tasks (login) until ")
    assert ": It is refused → ./baton login" in login
    assert "billing" not in login
    assert said("Two", "--key", "k", "--json") == login
    site.store.open_gate()
    site.store.close_gate("all", "pause", by="t", why="holiday")
    paused = "It waits: the gate is closed for all tasks (pause): holiday → ./baton unpause"
    assert said("Three") == paused


def test_add_with_wait_says_at_once_what_it_waits_for(site: Site) -> None:
    site.store.close_gate("all", "pause", by="t", why="holiday")
    waiting = subprocess.Popen(
        command("add", "One", "--wait"),
        env=env(site),
        cwd=site.folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert waiting.stderr is not None
        assert waiting.stderr.readline().startswith("It waits: the gate is closed for all tasks")
        assert waiting.poll() is None
    finally:
        waiting.kill()
        waiting.communicate()


def test_a_task_that_fits_into_no_day_is_refused_with_both_figures(site: Site) -> None:
    with (site.folder / "baton.yaml").open("a") as file:
        file.write("budget_usd_per_day: 20\n")
    said = " ".join(baton(site, "add", "--max-budget-usd", "30", "hi", status=1).split())
    assert "max_budget_usd: 30 USD is more than all tasks of a day may cost" in said
    assert "(budget_usd_per_day: 20)" in said
    code = "import tasks; tasks.claude('hi', max_budget_usd=30)"
    done = subprocess.run(
        command("shell", "-c", code), env=env(site), cwd=site.folder, capture_output=True, text=True
    )
    assert "ValueError: max_budget_usd: 30 USD is more" in done.stderr
    assert sum(site.store.counts().values()) == 0


def test_a_closed_gate_stands_at_the_top_of_status(site: Site) -> None:
    site.store.submit([Submission(id="abc123", body=b"{}", kind="claude")])
    baton(site, "pause", "moving")
    title, first, *_ = baton(site, "status").splitlines()
    assert title.startswith(site.settings.instance)
    assert first.startswith("gate closed for all tasks: pause")


def test_status_says_that_a_limit_is_over_and_how_often_it_was_tried(site: Site) -> None:
    past = site.store.now_ms() - 1
    site.store.close_gate("claude:default", "login", by="t", why="", until_ms=past)
    site.store.client.hset(site.store.prefix + "gate:tries", "claude:default|login", 2)
    said = baton(site, "status")
    assert "tried 2 times in vain; the next task tries whether it is over" in said


def test_status_says_who_tries_whether_a_limit_is_over(site: Site) -> None:
    site.store.submit([Submission(id="abc123", body=b"{}", kind="claude", credential="api_key")])
    past = site.store.now_ms() - 1
    site.store.close_gate("claude:api_key", "usage limit", by="t", why="", until_ms=past)
    site.store.claim("me", "n", ["default"], 30_000)
    said = baton(site, "status")
    assert "Claude tasks that pay by api_key: usage limit" in said
    assert "task abc123 tries" in said


@pytest.mark.parametrize(
    ("reason", "remedy"), [("login", "./baton login"), ("usage limit", "./baton unpause")]
)
def test_status_names_what_opens_the_gate(site: Site, reason: str, remedy: str) -> None:
    site.store.close_gate("claude", reason, by="t", why="", until_ms=None)
    said = baton(site, "status")
    assert f"gate closed for Claude tasks: {reason}" in said
    assert remedy in said


def test_status_says_what_is_missing(site: Site) -> None:
    said = baton(site, "status")
    assert "Claude Code is not found" in said


def attempt(site: Site, task_id: str, number: int, *events: dict[str, Any]) -> Path:
    folder = site.folder / "var" / "attempts" / task_id / str(number)
    folder.mkdir(parents=True)
    (folder / "stream.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return folder


def say(text: str) -> dict[str, Any]:
    return {"type": "assistant", "message": {"content": [{"type": "text", "text": text}]}}


def test_status_names_claude_its_version_and_who_pays_without_running_it(site: Site) -> None:
    asked = claude_stub(site, "exit 0")
    package = {"name": "@anthropic-ai/claude-code", "version": "2.1.7"}
    (site.folder / "package.json").write_text(json.dumps(package))
    (site.folder / ".env").write_text("ANTHROPIC_API_KEY=made-up\n")
    (site.folder / "home" / ".claude").mkdir()
    (site.folder / "home" / ".claude" / ".credentials.json").touch()
    said = baton(site, "status")
    assert f"Claude 2.1.7 (baton.yaml: {site.folder / 'claude'}), billed to the account" in said
    assert "ANTHROPIC_API_KEY is set but not passed on; name it in `env:`" in said
    assert "made-up" not in said
    (site.folder / "baton.yaml").write_text(
        f"claude: {{command: {site.folder / 'claude'}, env: [ANTHROPIC_API_KEY]}}\n"
    )
    found = facts(site, "status")["claude"]
    assert (found["billed"], found["not_passed_on"]) == ("api_key", [])
    assert not asked.exists()


def test_a_cancel_says_what_it_comes_to(site: Site) -> None:
    queued, held, ran = (facts(site, "add", n)["id"] for n in ("One", "Two", "Three"))
    due = site.store.now_ms() + 3_600_000
    site.store.submit([Submission(id="5c4ed", body=b"{}", due_ms=due)])
    site.store.hold(held, "a look is wanted")
    site.store.hasten(ran)
    assert isinstance(site.store.claim("i:h:consumer-9", "n", ["default"], 30_000), Lease)
    assert "was queued and is cancelled; it never starts" in baton(site, "cancel", queued)
    assert "was scheduled for" in baton(site, "cancel", "5c4ed")
    assert "was held and is cancelled" in baton(site, "cancel", held)
    said = baton(site, "cancel", ran)  # nobody beats for it
    assert "consumer-9 does not answer" in said
    assert "within a minute" in said


def test_a_cancel_of_a_python_task_says_that_nothing_stops_it(site: Site) -> None:
    site.store.submit([Submission(id="a", body=b"{}")])
    site.store.claim("i:h:consumer-9", "n", ["default"], 30_000)
    assert "runs it to its end" in baton(site, "cancel", "a")


def test_a_cancel_waits_a_moment_for_a_redis_that_starts_again(site: Site) -> None:
    task_id = facts(site, "add", "x")["id"]
    site.stop("redis")
    cancelling = subprocess.Popen(
        command("cancel", task_id), env=env(site), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert cancelling.stderr
    assert b"trying for 10 s" in cancelling.stderr.readline()
    site.start("redis")
    assert cancelling.wait(20) == 0
    assert record(site, task_id).state is State.CANCELLED


def test_the_shell_has_everything_in_place(site: Site) -> None:
    code = "print(huey.name, settings.instance, claude('Hi.', key='s').id, tasks.__name__)"
    _, instance, task_id, module = baton(site, "shell", "-c", code).split()
    assert (instance, module) == ("baton", "tasks")
    assert record(site, task_id).source == "shell"


def test_without_redis_a_verb_says_so_and_what_to_do(site: Site) -> None:
    site.stop("redis")
    for words in (["list"], ["add", "x"], ["pause"], ["show", "a"]):
        assert "./baton up starts it" in baton(site, *words, status=1)
    assert "Redis does not answer" in baton(site, "status")


def test_a_typo_in_the_configuration_is_one_message(site: Site) -> None:
    (site.folder / "baton.yaml").write_text("consumers: 1\nwatchrs: {}\n")
    for words in (["list"], ["status"], ["apps"]):
        assert "baton.yaml:2" in baton(site, *words, status=1)


def test_a_table_fits_the_terminal_of_a_person(site: Site) -> None:
    baton(site, "add", "A very long prompt that goes on and on, " * 10)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command("list"), env=env(site) | {"COLUMNS": "60"}, stdout=theirs, stdin=theirs
    )
    os.close(theirs)
    assert process.wait(20) == 0
    lines = os.read(ours, 65_536).decode().splitlines()
    assert max(len(line.replace("\x1b[2m", "").replace("\x1b[0m", "")) for line in lines) <= 60
    assert "\x1b[2m" in lines[0]


def test_a_pipe_that_closes_early_is_no_error(site: Site) -> None:
    for n in range(3):
        baton(site, "add", f"Task {n}")
    words = " ".join(["exec", *command("list")])
    done = subprocess.run(
        ["sh", "-c", f"({words}; echo $? >&2) | true"],
        env=env(site),
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def claude_stub(site: Site, code: str) -> Path:
    """A `claude` that writes down what it was asked, and ends as `code` says."""
    stub = site.folder / "claude"
    stub.write_text(
        "#!/bin/sh\n"
        'case "$*" in *--help*) echo "Usage: claude auth login"; exit 0;; esac\n'
        f'echo "$*" >>{site.folder}/asked\n{code}\n'
    )
    stub.chmod(0o700)
    (site.folder / "baton.yaml").write_text(f"claude: {{command: {stub}}}\n")
    return site.folder / "asked"


def test_a_login_is_claudes_own_and_opens_the_gate_that_a_lost_one_closed(site: Site) -> None:
    asked = claude_stub(site, "exit 0")
    site.store.close_gate("claude", "login", by="t", why="", until_ms=None)
    baton(site, "pause")
    assert "./baton login" in baton(site, "status")
    assert "waiting tasks go on" in baton(site, "login")
    assert asked.read_text() == "auth login\n"
    assert [e["reason"] for e in facts(site, "status")["gate"]] == ["pause"]


def test_a_login_that_was_given_up_opens_nothing(site: Site) -> None:
    claude_stub(site, "exit 1")
    site.store.close_gate("claude", "login", by="t", why="", until_ms=None)
    assert "status 1" in baton(site, "login", status=1)
    assert [e["reason"] for e in facts(site, "status")["gate"]] == ["login"]


def test_without_claude_a_login_says_how_to_get_it(site: Site) -> None:
    assert "baton.yaml" in baton(site, "login", status=1)


def test_a_down_that_fails_leaves_the_consumers_at_work(short_tmp: Path) -> None:
    """With var/stopping left behind they would claim nothing, and nobody would say so."""
    away = Site(short_tmp, {"redis": f"unix://{short_tmp}/nobody.sock", "consumers": 1})
    assert "Redis does not answer" in baton(away, "down", "--drain", status=1)
    assert not (away.folder / "var" / "stopping").exists()
    away.close()


def test_ctrl_c_in_a_drain_says_that_all_goes_on(site: Site) -> None:
    site.store.submit([Submission(id="running", body=b"{}")])
    owner = identity.owner(site.folder / "var", "somebody")
    assert isinstance(site.store.claim(owner, "nonce", ["default"], 120_000), Lease)
    down = subprocess.Popen(
        command("down", "--drain"),
        env=env(site),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert down.stdout
    assert down.stdout.readline().startswith("Waiting for 1 running")
    down.send_signal(signal.SIGINT)
    assert "Nothing was stopped: all apps go on" in down.communicate(timeout=60)[1]
    assert down.returncode == 130
    assert not (site.folder / "var" / "stopping").exists()


def test_what_outlives_its_pm2_is_not_called_gone(site: Site) -> None:
    """The daemon was killed, or the shell names another PM2_HOME: the apps work on."""
    redis_pid = int((site.folder / "var" / "locks" / "baton-redis.lock").read_text().split()[0])
    rows = {row["name"]: row for row in facts(site, "status")["apps"]}
    assert (rows["baton-redis"]["state"], rows["baton-redis"]["pid"]) == ("outside PM2", redis_pid)
    assert rows["baton-consumer-1"]["state"] == "not started"
    said = baton(site, "status")
    assert "1 of 3 apps run, and this PM2 does not look after them" in said
    assert "Nothing runs" not in said
    site.stop("redis")
    assert "Nothing runs" in baton(site, "status")
