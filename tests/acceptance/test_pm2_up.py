"""`up`, `restart`, `status` and `down` with real apps under a real PM2."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.locks import live_holder
from durable import identity
from durable.records import Lease, State, Submission
from tests.acceptance.pm2_site import Pm2Site
from tests.conftest import PrivateServer, binary_of, wait_until

CONFIG: dict[str, Any] = {
    "consumers": 2,
    "watchers": {"inbox": {"path": "Inbox", "prompt": "Read {{ path }}", "failed": "Failed"}},
}
APPS = [
    "baton-redis",
    "baton-watch-inbox",
    "baton-scheduler",
    "baton-consumer-1",
    "baton-consumer-2",
]


@pytest.fixture
def site(short_tmp: Path) -> Iterator[Pm2Site]:
    """An instance of the test's own, not yet started."""
    (short_tmp / "Inbox").mkdir()
    made = Pm2Site(short_tmp, CONFIG)
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Pm2Site]:
    folder = Path(tempfile.mkdtemp(prefix="bt-"))
    (folder / "Inbox").mkdir()
    made = Pm2Site(folder, CONFIG)
    yield made
    made.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def running(shared: Pm2Site) -> Pm2Site:
    """An instance that is up; several tests use it one after another."""
    shared.configure(CONFIG)
    shared.facts("up")
    return shared


def test_up_starts_all_and_touches_nothing_the_second_time(site: Pm2Site) -> None:
    stub = site.folder / "claude"
    stub.write_text("#!/bin/sh\n")
    stub.chmod(0o700)
    site.configure(CONFIG | {"claude": {"command": str(stub)}})
    said = site.facts("up")
    assert (site.folder / "var" / "claude-path").read_text() == f"{stub}\n"
    assert [notice["remedy"] for notice in said["missing"]] == ["./baton login"]
    assert [app["name"] for app in said["apps"]] == APPS
    assert {app["state"] for app in said["apps"]} == {"ready"}
    assert said["steps"]["start"] == APPS
    before = site.pids()

    again = site.facts("up")
    assert again["steps"] == {"keep": APPS, "start": [], "replace": [], "remove": [], "drain": []}
    assert site.pids() == before

    status, out, _ = site.call("up")
    assert status == 0
    assert "5 left alone" in out
    assert f"drop a file into {site.folder / 'Inbox'}" in out


def test_up_restarts_what_changed_and_removes_what_is_gone(site: Pm2Site) -> None:
    site.facts("up")
    before = site.pids()
    site.configure(CONFIG | {"consumers": 1, "claude": {"model": "another"}, "watchers": {}})
    steps = site.facts("up")["steps"]
    assert steps["keep"] == ["baton-redis", "baton-scheduler"]
    assert steps["replace"] == ["baton-consumer-1"]
    assert steps["remove"] == ["baton-consumer-2", "baton-watch-inbox"]
    after = site.pids()
    assert set(after) == {"baton-redis", "baton-scheduler", "baton-consumer-1"}
    assert [app for app in after if after[app] != before[app]] == ["baton-consumer-1"]


def test_what_was_killed_or_stopped_by_hand_is_up_again(running: Pm2Site) -> None:
    first = running.ready("baton-consumer-1")
    subprocess.run(["kill", "-9", str(first)], check=True)
    wait_until(lambda: running.ready("baton-consumer-1") not in (None, first))
    running.raw_pm2("stop", "baton-consumer-2")
    assert running.facts("up")["steps"]["replace"] == ["baton-consumer-2"]
    assert running.facts("restart", "consumer-1")["steps"]["replace"] == ["baton-consumer-1"]


def test_down_leaves_nothing_behind_and_status_says_so(site: Pm2Site) -> None:
    site.facts("up")
    site.raw_pm2("start", "sleep", "--name", "shop", "--", "1000", env={"BATON_VAR": ""})
    (site.folder / "baton.yaml").write_text("nope: 1\n")  # which must not keep it running
    status, out, err = site.call("down")
    assert status == 0
    assert "baton.yaml:1" in err
    site.configure(CONFIG)
    assert all(app in out for app in APPS)
    assert site.left() == {}
    assert list(site.pids()) == ["shop"]
    assert not (site.folder / "var" / "stopping").exists()
    status, out, _ = site.call("status")
    assert status == 0
    assert "Redis does not answer" in out
    assert "./baton up" in out
    assert "Nothing of this instance runs" in site.call("down")[1]


def test_down_with_drain_lets_running_tasks_end(site: Pm2Site) -> None:
    site.facts("up")
    site.store.submit([Submission(id="running", body=b"{}", queue="elsewhere")])
    owner = identity.owner(site.folder / "var", "somebody")
    site.store.submit([Submission(id="remote", body=b"{}", queue="far")])
    assert isinstance(site.store.claim("x:another-host:y", "n", ["far"], 120_000), Lease)
    lease = site.store.claim(owner, "nonce", ["elsewhere"], 120_000)
    assert isinstance(lease, Lease)
    down = subprocess.Popen(
        site.command("down", "--drain"), env=site.env, stdout=subprocess.PIPE, text=True
    )
    assert down.stdout
    assert down.stdout.readline().startswith("Waiting for 1 running")
    assert down.stdout.readline().startswith("  running  -  runs for")
    assert all(site.ready(app) for app in APPS)
    assert (site.folder / "var" / "stopping").exists()
    assert site.store.settle(lease, State.SUCCEEDED, outcome="succeeded")
    assert "  running  succeeded after" in down.communicate(timeout=60)[0]
    assert down.returncode == 0
    # neither a process nor a held lock, neither a socket nor the daemon that `up` had started
    assert site.left() == {}
    assert not site.pm2.daemon_runs()
    assert not list(site.settings.run_dir.glob("*"))
    assert not any(live_holder(lock) for lock in (site.folder / "var" / "locks").iterdir())


def test_the_files_of_an_instance_are_private(running: Pm2Site) -> None:
    var = running.folder / "var"
    for path in (var, *var.rglob("*")):
        if not path.is_symlink():
            assert path.stat().st_mode & 0o077 == 0, path


def test_a_second_up_at_once_waits_and_both_succeed(site: Pm2Site) -> None:
    calls = [
        subprocess.Popen(
            site.command("up", "--json"),
            env=site.env,
            cwd=site.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    answers = [call.communicate(timeout=120) for call in calls]
    assert [call.returncode for call in calls] == [0, 0], answers
    steps = [json.loads(out)["steps"] for out, _ in answers]
    assert sorted(len(step["start"]) for step in steps) == [0, len(APPS)]
    assert sum("waiting" in errors for _, errors in answers) == 1


def test_the_same_name_in_another_folder_is_refused(running: Pm2Site, tmp_path: Path) -> None:
    before = running.pids()
    other = Pm2Site(tmp_path, {"consumers": 1}, {"PM2_HOME": running.env["PM2_HOME"]})
    for verb in ("up", "down", "restart"):
        status, _, errors = other.call(verb)
        assert status == 1
        assert "instance:" in errors
        assert str(running.folder / "var") in errors
    other.configure({"consumers": 1, "instance": "second"})
    assert other.facts("up")["steps"]["start"][0] == "second-redis"
    assert running.pids().items() >= before.items()
    assert other.call("down")[0] == 0
    assert running.pids() == before


def test_another_pm2_of_the_same_folder_is_refused(running: Pm2Site) -> None:
    elsewhere = {"PM2_HOME": str(running.folder / "pm3")}
    for verb in ("up", "down"):
        status, _, errors = running.call(verb, env=elsewhere)
        assert status == 1
        assert running.env["PM2_HOME"] in errors
    assert running.ready("baton-redis")


BROKEN = "import sys\nif sys.argv[0].endswith('app.py'):\n    import nothing_like_that\n"


def test_an_app_that_cannot_start_is_named_with_its_reason(site: Pm2Site) -> None:
    site.configure(CONFIG | {"tasks": ["broken"], "consumers": 1})
    (site.folder / "broken.py").write_text(BROKEN)
    status, out, _ = site.call("up")
    assert status == 1
    assert "baton-consumer-1" in out
    assert "nothing_like_that" in out
    (site.folder / "broken.py").write_text("")
    steps = site.facts("up")["steps"]
    assert "baton-consumer-1" in steps["replace"]


def test_a_mistake_in_the_configuration_is_no_restart_loop(running: Pm2Site) -> None:
    good = (running.folder / "baton.yaml").read_text()
    (running.folder / "baton.yaml").write_text(good + "nonsense: 1\n")
    assert "nonsense" in running.call("up")[2]
    pid = running.process("baton-consumer-1").pid
    subprocess.run(["kill", "-9", str(pid)], check=True)
    wait_until(lambda: running.process("baton-consumer-1").exit_code == 78, what="it gives up")
    assert "baton.yaml:" in running.call("logs", "consumer-1")[1]  # which no mistake hides
    (running.folder / "baton.yaml").write_text(good)
    rows = {app["name"]: app for app in running.facts("status")["apps"]}
    assert rows["baton-consumer-1"]["state"] == "bad configuration"
    assert "nonsense" in rows["baton-consumer-1"]["reason"]
    assert "! baton-consumer-1: " in running.call("status")[1]
    assert running.process("baton-consumer-1").restarts <= 1
    assert running.facts("up")["steps"]["replace"] == ["baton-consumer-1"]


def test_a_redis_that_does_not_answer_is_said_before_anything_starts(site: Pm2Site) -> None:
    (site.folder / ".env").write_text("REDIS_URL=redis://127.0.0.1:1/0\n")
    status, _, errors = site.call("up")
    assert status == 1
    assert "127.0.0.1:1" in errors
    assert site.pids() == {}


def test_a_redis_that_may_lose_tasks_needs_a_person_who_allows_it(
    site: Pm2Site, short_tmp: Path
) -> None:
    own = PrivateServer(short_tmp, binary_of("valkey"))
    own.start("--appendonly", "no")
    try:
        (site.folder / ".env").write_text(f"REDIS_URL={own.url}\n")
        status, _, errors = site.call("up")
        assert status == 1
        assert "set `appendonly yes`" in errors
        assert site.pids() == {}
        with (site.folder / "baton.yaml").open("a") as config:
            config.write("redis_unsafe: allow\n")
        assert site.call("up")[0] == 0
        assert site.call("down")[0] == 0
    finally:
        own.kill()


def test_a_redis_url_of_this_shell_alone_is_refused(site: Pm2Site) -> None:
    status, _, errors = site.call("up", env={"REDIS_URL": "redis://127.0.0.1:1/0"})
    assert status == 1
    assert str(site.folder / ".env") in errors
