"""`pm2 start ecosystem.config.js` by hand, and what becomes of apps when PM2 itself dies."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.apps import KILL_TIMEOUT_MS
from durable.records import State, Submission
from tests.acceptance.pm2_site import Pm2Site
from tests.conftest import ROOT

APPS = ["baton-redis", "baton-scheduler", "baton-consumer-1"]
# A shell of a person who has secrets in it, and variables that are called like fields of PM2.
DIRTY = {"SECRET_TOKEN": "hush-hush", "name": "evil", "args": "evil", "treekill": "true"}


@pytest.fixture
def site(short_tmp: Path) -> Iterator[Pm2Site]:
    made = Pm2Site(short_tmp, {"consumers": 1})
    yield made
    made.close()


def all_ready(site: Pm2Site) -> bool:
    return all(site.ready(app) for app in APPS)


def everything_pm2_keeps(site: Pm2Site) -> str:
    site.raw_pm2("save")
    files = [f for f in site.pm2.home.rglob("*") if f.is_file()]
    return site.raw_pm2("jlist") + "".join(f.read_text("utf-8", "replace") for f in files)


def test_by_hand_it_starts_the_same_apps_and_nothing_of_the_shell_gets_in(site: Pm2Site) -> None:
    for verb in ("start", "start", "reload"):  # the second `start` restarts them
        site.raw_pm2(verb, "ecosystem.config.js", env=DIRTY)
        assert sorted(site.pids()) == sorted(APPS)
        assert all_ready(site), f"{verb} returns when all are ready"
        assert "hush-hush" not in everything_pm2_keeps(site)
        for pid in site.pids().values():
            assert b"hush-hush" not in Path(f"/proc/{pid}/environ").read_bytes()
            assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
    assert site.facts("up")["steps"]["keep"] == APPS
    site.raw_pm2(
        "stop", "baton-producers"
    )  # a namespace is a stage, so that a stop by hand has an order
    assert [app for app, pid in site.pids().items() if not pid] == ["baton-scheduler"]


def test_each_app_has_the_fields_that_the_promises_need(site: Pm2Site) -> None:
    script = "console.log(JSON.stringify(require('./ecosystem.config.js').apps))"
    env = site.env | DIRTY | {"BATON_PYTHON": sys.executable}
    done = subprocess.run(["node", "-e", script], cwd=ROOT, env=env, capture_output=True, text=True)
    apps = {app["name"]: app for app in json.loads(done.stdout)}
    stages = {
        "baton-redis": "redis",
        "baton-scheduler": "producers",
        "baton-consumer-1": "consumers",
    }
    assert {name: app["namespace"] for name, app in apps.items()} == {
        name: f"baton-{stage}" for name, stage in stages.items()
    }
    for name, app in apps.items():
        assert (app["interpreter"], app["script"], app["exec_mode"]) == (
            sys.executable, "app.py", "fork",
        )  # fmt: skip
        assert (app["treekill"], app["wait_ready"], app["filter_env"]) == (False, True, [""])
        assert app["kill_timeout"] == KILL_TIMEOUT_MS[stages[name]]
        assert app["exp_backoff_restart_delay"] > 0
        assert 0 not in app["stop_exit_codes"], "a death by signal is 0 to PM2"
        assert os.EX_CONFIG in app["stop_exit_codes"]
        assert app.get("max_memory_restart", 0) == (0 if name == "baton-redis" else 10**9)
        assert app["out_file"].endswith(f"/var/logs/{name}.out")
        assert "hush-hush" not in json.dumps(app)


def test_the_apps_outlive_pm2_and_hand_over_to_the_next(site: Pm2Site) -> None:
    site.facts("up")
    site.store.submit([Submission(id="kept", body=b"{}", queue="nobody")])
    before = {app: site.ready(app) for app in APPS}
    site.kill_daemon()
    assert {app: site.ready(app) for app in APPS} == before
    assert site.store.record("kept")

    site.facts("up")
    after = site.pids()
    assert {app: site.ready(app) for app in APPS} == after
    assert not set(after.values()) & set(before.values())
    servers = [c for c in site.left().values() if "valkey" in c or "redis-server" in c]
    assert len(servers) == 1, servers
    record = site.store.record("kept")
    assert record
    assert record.state is State.QUEUED


def test_down_stops_apps_that_no_pm2_supervises_any_more(site: Pm2Site) -> None:
    site.facts("up")
    site.kill_daemon()
    assert len(site.left()) >= len(APPS)
    status, out, errors = site.call("down")
    assert (status, errors) == (0, "")
    assert all(app in out for app in APPS)
    assert site.left() == {}


def test_without_a_venv_it_says_what_to_do(tmp_path: Path) -> None:
    folder = tmp_path / "a clone"
    folder.mkdir()
    shutil.copy(ROOT / "ecosystem.config.js", folder)
    environ = {name: value for name, value in os.environ.items() if name != "BATON_PYTHON"}
    done = subprocess.run(
        ["node", "-e", "require('./ecosystem.config.js')"],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "run ./baton up once" in done.stderr
