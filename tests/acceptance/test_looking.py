"""`logs -f` and `show` on real runs: nothing is missed or said twice, and the line that is shown works."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import transcript
from durable.records import State
from tests.acceptance.claude_site import ClaudeSite, bash, claude_settings, dotenv, say, script
from tests.acceptance.standin_process import StandInProcess, standin
from tests.conftest import ROOT, wait_until


@pytest.fixture(scope="module")
def api() -> Iterator[StandInProcess]:
    with standin() as running:
        yield running


@pytest.fixture
def site(short_tmp: Path, api: StandInProcess) -> Iterator[ClaudeSite]:
    dotenv(short_tmp, api)
    own = ClaudeSite(short_tmp, {"consumers": 1, "claude": claude_settings()})
    own.start("redis")
    own.start("consumer", "1")
    yield own
    own.close()


def command(*words: str) -> list[str]:
    return [sys.executable, "-P", "-m", "cli", *words]


def env(site: ClaudeSite) -> dict[str, str]:
    return site.env | {"PYTHONPATH": str(ROOT)}


def show(site: ClaudeSite, task_id: str) -> dict[str, object]:
    done = subprocess.run(
        command("show", task_id, "--json"), env=env(site), capture_output=True, check=True
    )
    found: dict[str, object] = json.loads(done.stdout)
    return found


def written(site: ClaudeSite, task_id: str) -> list[str]:
    """What both attempts' streams say, line by line. A crash may cost the turn before it, too."""
    streams = [site.attempt(task_id, n) / "stream.jsonl" for n in (1, 2)]
    rows = [row for stream in streams for row in stream.read_text().splitlines()]
    return [line for row in rows for line in transcript.lines(json.loads(row))]


def test_a_follower_sees_every_event_once_over_kills_of_the_consumer_and_a_second_attempt(
    site: ClaudeSite,
) -> None:
    go = site.folder / "go"
    steps = [bash(f"echo step {n}; sleep 0.6") for n in range(4)]
    task_id = site.submit(script(*steps, bash(f"test -e {go} || sleep 600; echo went"), say("end")))
    follower = subprocess.Popen(
        command("logs", task_id, "-f"), env=env(site), stdout=subprocess.PIPE, text=True
    )
    stream = site.attempt(task_id) / "stream.jsonl"

    def reached(word: bytes) -> bool:
        return stream.exists() and word in stream.read_bytes()

    wait_until(lambda: reached(b"step 0"), 40, "the first step is done")
    site.kill("consumer-1")  # adopted: the same attempt goes on
    site.start("consumer", "1")
    wait_until(lambda: reached(b"step 3"), 40, "the last step is done")
    go.touch()
    runner = json.loads((site.attempt(task_id) / "runner.json").read_text())["pid"]
    claude = int(Path(f"/proc/{runner}/task/{runner}/children").read_text().split()[0])
    os.kill(claude, 9)  # a crash: a second attempt resumes
    site.wait_for(task_id, State.SCHEDULED)
    site.store.hasten(task_id)
    printed, _ = follower.communicate(timeout=60)
    lines = printed.splitlines()
    ours = ("[", "  so far: ")  # what is said between Claude's own words
    assert [line for line in lines if not line.startswith(ours)] == written(site, task_id)
    assert [line for line in lines if line in ("< step 0", "< went", "end")] == [
        "< step 0",
        "< went",
        "end",
    ]
    told = [line for line in lines if line.startswith("[")]
    first = next(word for word in told if word.startswith("[attempt 1 "))
    second = next(word for word in told if word.startswith("[attempt 2,"))
    assert first.startswith("[attempt 1 crashed: ")
    assert "resumes session " in second
    assert told.index(first) < told.index(second)
    assert told[-2:] == ["[attempt 2 succeeded]", "[succeeded]"]
    assert follower.returncode == 0


def test_the_line_that_show_prints_runs_the_attempt_again(site: ClaudeSite) -> None:
    task_id = site.submit(
        script(bash("echo tmp=$TMPDIR; umask; echo mark=[$BATON_ATTEMPT]"), say("well"))
    )
    assert site.finish(task_id).state is State.SUCCEEDED
    first = show(site, task_id)["attempts"][0]  # type: ignore[index]
    assert first["billed"] == "api_key"
    version = subprocess.run(
        [first["command"]["argv"][0], "--version"], capture_output=True, text=True, check=True
    )
    assert version.stdout.split()[0] == first["version"]
    line = first["run_again"]
    assert "made-up" not in json.dumps(first)  # no secret is in it …
    bare = {"PATH": os.environ["PATH"], "HOME": site.env["HOME"]}
    without = subprocess.run(["sh", "-c", line], env=bare, capture_output=True, text=True)
    assert without.returncode != 0  # … so it says which is missing
    assert "ANTHROPIC_API_KEY" in without.stderr
    secrets = dict(row.split("=", 1) for row in (site.folder / ".env").read_text().splitlines())
    for shell in ("sh", "bash"):
        again = subprocess.run(
            [shell, "-c", line], env=bare | secrets, capture_output=True, text=True, timeout=60
        )
        assert again.returncode == 0, again.stderr
        events = [json.loads(row) for row in again.stdout.splitlines()]
        assert events[-1]["result"] == "well"
        assert events[-1]["session_id"] != first["session"]
        assert "mark=[]" in again.stdout
        assert "0077" in again.stdout


def test_a_resumed_attempt_runs_again_in_a_copy_of_its_session(site: ClaudeSite) -> None:
    task_id = site.submit(script(bash("touch denied"), say("no")), allowed_tools=["Read"])
    assert site.finish(task_id).outcome == "denied"
    site.store.requeue(task_id, resume=True)
    wait_until(lambda: (site.attempt(task_id, 2) / "exit.json").exists(), 40, "it ran again")
    site.finish(task_id)
    second = show(site, task_id)["attempts"][1]  # type: ignore[index]
    assert second["resumes"] == second["session"]
    secrets = dict(row.split("=", 1) for row in (site.folder / ".env").read_text().splitlines())
    bare = {"PATH": os.environ["PATH"], "HOME": site.env["HOME"]}
    again = subprocess.run(
        ["sh", "-c", second["run_again"]],
        env=bare | secrets,
        capture_output=True,
        text=True,
        timeout=60,
    )
    events = [json.loads(row) for row in again.stdout.splitlines()]
    assert events[-1]["session_id"] not in ("", second["session"])
    assert events[-1]["subtype"] == "success"
