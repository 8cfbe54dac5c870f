"""`./baton logs` and `show` on a real server, with attempts written by hand; no consumer."""

import json
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from durable import identity
from durable.records import Lease, State
from tests.conftest import wait_until
from tests.integration.test_cli_verbs import attempt, baton, command, env, facts, say
from tests.site import Site

COMMAND = {
    "argv": ["/bin/claude", "-p", "--session-id=s1", "--model=it's"],
    "env": ["HOME", "SECRET_TOKEN"],
    "cwd": "/some where",
    "umask": 0o077,
    "token": 1,
    "billed": "api_key",
    "claude_version": "9.8.7",
    "configuration": "0123456789abcdef",
}


@pytest.fixture
def site(short_tmp: Path) -> Iterator[Site]:
    made = Site(short_tmp, {"consumers": 1, "claude": {"command": "/no/such/claude"}})
    made.start("redis")
    yield made
    made.close()


def end(folder: Path, **more: Any) -> None:
    (folder / "exit.json").write_text(
        json.dumps({"exit_code": 0, "started_at": 1e9, "ended_at": 1e9 + 2.5} | more)
    )


def take(site: Site, number: int) -> Lease:
    """Lease the one task there is, as a consumer of this machine."""
    owner = identity.owner(site.settings.var, "consumer-9")
    lease = site.store.claim(owner, str(number), ["default"], 30_000)
    assert isinstance(lease, Lease)
    return lease


@pytest.fixture
def follow(site: Site) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started = []

    def start(*words: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        one = subprocess.Popen(
            command("logs", "-f", *words), env=env(site), stdout=pipe, stderr=pipe, text=True
        )
        started.append(one)
        return one

    yield start
    for process in started:
        process.kill()
        process.communicate()


def read_until(process: subprocess.Popen[str], word: str) -> list[str]:
    """The lines up to the one that holds the word; one that never comes fails after a while."""
    assert process.stdout
    found: list[str] = []
    watchdog = threading.Timer(20, process.kill)
    watchdog.start()
    try:
        for line in process.stdout:
            found.append(line.rstrip("\n"))
            if word in line:
                return found
    finally:
        watchdog.cancel()
    raise AssertionError(f"no {word} in {found}")


def test_logs_show_the_latest_attempt_or_a_chosen_one(site: Site) -> None:
    task_id = facts(site, "add", "x")["id"]
    assert "has not run" in baton(site, "logs", task_id, status=1)
    attempt(site, task_id, 9, say("ninth"))
    attempt(site, task_id, 10, say("tenth \x1b[2J"))
    assert "tenth \\x1b[2J\n" in baton(site, "logs", task_id[:8])
    assert json.loads(baton(site, "logs", task_id, "--json")) == say("tenth \x1b[2J")
    assert "ninth" in baton(site, "logs", task_id, "--attempt", "9")
    assert "There is: 9, 10" in baton(site, "logs", task_id, "--attempt", "3", status=1)


def test_logs_of_a_silent_attempt_show_what_it_complained_of(site: Site) -> None:
    task_id = facts(site, "add", "x")["id"]
    (attempt(site, task_id, 1) / "stderr.log").write_text("no such flag\n")
    assert "no such flag" in baton(site, "logs", task_id)


def test_whatever_a_stream_holds_is_shown_and_moves_no_cursor(site: Site) -> None:
    task_id = facts(site, "add", "x")["id"]
    folder = attempt(site, task_id, 1, say("before"))
    huge = {
        "type": "user",
        "message": {"content": [{"type": "tool_result", "content": "y" * 5_000_000}]},
    }
    with (folder / "stream.jsonl").open("ab") as stream:
        stream.write(json.dumps(huge).encode() + b"\n")
        stream.write(
            b'plain \x1b]0;words\x07 \xff\xfe of the CLI\n[1]\n"\n' + b"[" * 100_000 + b"\n"
        )
        stream.write(json.dumps(say("after \u202e \u009b31m")).encode() + b'\n{"type": "assist')
    printed = baton(site, "logs", task_id)
    assert len(printed) < 10_000
    assert all(c.isprintable() or c == "\n" for c in printed)
    lines = printed.splitlines()
    assert lines[1] == "before"
    assert lines[2].startswith("< yyyy")
    assert lines[3] == "? plain \\x1b]0;words\\x07 �� of the CLI"
    assert "after \\u202e \\x9b31m" in lines
    assert "[the last line is cut off after 16 bytes]" in lines


def test_logs_follow_a_task_from_its_waiting_through_every_attempt_to_its_end(
    site: Site, follow: Callable[..., subprocess.Popen[str]]
) -> None:
    task_id = facts(site, "add", "x")["id"]
    follower = follow(task_id)
    assert read_until(follower, "queued") == ["[queued]"]
    lease = take(site, 1)
    folder = attempt(site, task_id, 1, say("first"))
    assert read_until(follower, "first") == ["[attempt 1]", "first"]
    with (folder / "stream.jsonl").open("a") as stream:
        stream.write(json.dumps(say("half of"))[:20])
        stream.flush()
        end(folder, signal=9, exit_code=None)
        site.store.release(task_id, lease.token, outcome="interrupted", reason="we were stopping")
        assert read_until(follower, "queued") == [
            "[the last line is cut off after 20 bytes]",
            "[attempt 1 interrupted: we were stopping]",
            "[queued]",
        ]
    lease = take(site, 2)
    second = attempt(site, task_id, 2, say("second"))
    (second / "command.json").write_text(json.dumps({"argv": ["claude", "--resume=s1"]}))
    begun, *rest = read_until(follower, "second")
    assert begun.endswith("resumes session s1]")
    assert rest == ["second"]
    site.store.settle(lease, State.FAILED, outcome="denied", reason="no Bash")
    assert read_until(follower, "[failed]")[-2:] == ["[attempt 2 denied: no Bash]", "[failed]"]
    assert follower.wait(10) == 1


def test_logs_follow_one_attempt_to_its_own_end(
    site: Site, follow: Callable[..., subprocess.Popen[str]]
) -> None:
    task_id = facts(site, "add", "x")["id"]
    lease = take(site, 1)
    follower = follow(task_id, "--attempt", "1")
    folder = attempt(site, task_id, 1, say("first"))
    assert read_until(follower, "first") == ["[attempt 1]", "first"]
    end(folder)
    site.store.release(task_id, lease.token, outcome="interrupted", reason="we were stopping")
    assert read_until(follower, "stopping") == ["[attempt 1 interrupted: we were stopping]"]
    assert follower.wait(10) == 1


def test_logs_go_on_while_redis_is_away(
    site: Site, follow: Callable[..., subprocess.Popen[str]]
) -> None:
    task_id = facts(site, "add", "x")["id"]
    lease = take(site, 1)
    folder = attempt(site, task_id, 1, say("before"))
    follower = follow(task_id)
    read_until(follower, "before")
    site.kill("redis")
    assert follower.stderr
    assert "Redis does not answer" in follower.stderr.readline()
    with (folder / "stream.jsonl").open("a") as stream:
        stream.write(json.dumps(say("meanwhile")) + "\n")
    assert read_until(follower, "meanwhile") == ["meanwhile"]
    site.start("redis")
    site.store.settle(lease, State.SUCCEEDED, outcome="succeeded")
    assert read_until(follower, "[succeeded]")
    assert follower.wait(10) == 0


def test_ctrl_c_ends_the_following_and_not_the_task(
    site: Site, follow: Callable[..., subprocess.Popen[str]]
) -> None:
    task_id = facts(site, "add", "x")["id"]
    follower = follow(task_id)
    read_until(follower, "queued")
    follower.send_signal(signal.SIGINT)
    _, said = follower.communicate(timeout=10)
    assert follower.returncode == 130
    assert "The task goes on" in said
    assert "Traceback" not in said
    assert site.store.record(task_id).state is State.QUEUED  # type: ignore[union-attr]


def test_a_run_on_another_machine_is_said_to_be_there(
    site: Site, follow: Callable[..., subprocess.Popen[str]]
) -> None:
    task_id = facts(site, "add", "x")["id"]
    lease = site.store.claim("other:host:consumer-1", "n", ["default"], 30_000)
    assert isinstance(lease, Lease)
    site.store.started(lease, {"host": "big-box"}, "s1")
    read_until(follow(task_id), "[running on another machine (big-box)")
    assert "another machine (big-box)" in baton(site, "logs", task_id, status=1)
    assert "on another machine, big-box" in baton(site, "show", task_id)


def test_show_tells_each_attempt_and_how_to_run_it_again(site: Site) -> None:
    task_id = facts(site, "add", "x")["id"]
    folder = attempt(site, task_id, 1, say("first"))
    where = site.folder / "some where"
    where.mkdir()
    (folder / "command.json").write_text(json.dumps(COMMAND | {"cwd": str(where)}))
    end(folder, signal=9, exit_code=None, leftovers=2, max_rss_kb=300_000, cpu_s=0.5)
    attempt(site, task_id, 2)
    [first, second] = facts(site, "show", task_id)["attempts"]
    assert (first["outcome"], first["version"], first["billed"]) == ("crashed", "9.8.7", "api_key")
    assert (first["session"], first["resumes"], first["leftovers"]) == ("s1", "", 2)
    assert second["outcome"] == "unknown"
    said = baton(site, "show", task_id, "--attempt", "1")
    for words in (
        "attempt 1  crashed", "2.5s", "307 MB of memory, 0.5 s of CPU", "left running: 2",
        "the API key in ANTHROPIC_API_KEY", "9.8.7, configuration 0123456789abcdef",
        f"cd '{where}'", 'SECRET_TOKEN="${SECRET_TOKEN:?}"', "'--model=it'\"'\"'s'",
        "claude --resume s1",
    ):  # fmt: skip
        assert words in said
    assert "--session-id" not in said


def test_what_runs_is_said_to_run(site: Site) -> None:
    import fcntl

    task_id = facts(site, "add", "x")["id"]
    folder = attempt(site, task_id, 1)
    with (folder / "runner.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert facts(site, "show", task_id)["attempts"][0]["outcome"] == "running"
        wait_until(lambda: "nothing yet" in baton(site, "logs", task_id), 5)
    assert facts(site, "show", task_id)["attempts"][0]["outcome"] == "unknown"
