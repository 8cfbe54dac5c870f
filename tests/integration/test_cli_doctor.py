"""`./baton doctor`: what is well, what deserves a look, what is wrong, each with its remedy."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.examinations import machine
from cli.locks import Lock, lock_path
from durable import starts
from durable.problems import Problems
from durable.records import Submission
from durable.server import answers
from durable.versions import FORMAT, MESSAGE
from tests.conftest import ROOT, wait_until
from tests.integration.test_cli_verbs import baton, command, env, facts
from tests.site import Site


def program(folder: Path, says: str) -> Path:
    path = folder / "claude"
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def site(short_tmp: Path) -> Iterator[Site]:
    claude = program(short_tmp, '{"loggedIn": true, "authMethod": "oauth_token"}')
    made = Site(short_tmp, {"consumers": 1, "claude": {"command": str(claude)}})
    (short_tmp / "home" / ".claude").mkdir()
    (short_tmp / "home" / ".claude" / ".credentials.json").touch()
    made.start("redis")
    yield made
    made.close()


def by_name(site: Site) -> dict[str, tuple[str, str]]:
    return {row["what"]: (row["verdict"], row["words"]) for row in facts(site, "doctor")}


def baton_fails(site: Site, *before: str, **variables: str) -> str:
    """What it prints when it ends with 1; `before` are words in front of it."""
    done = subprocess.run(
        [*before, *command("doctor")],
        env=env(site) | variables,
        cwd=site.folder,
        capture_output=True,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert b"Traceback" not in done.stderr
    return done.stdout.decode()


def test_an_instance_that_only_needs_to_be_started_is_well_but_for_that(site: Site) -> None:
    found = by_name(site)
    assert found["PM2"][0] == "warn"
    assert "apps do not run" in found["PM2"][1]
    assert "no PM2 looks after it" in found["lock"][1], "the test's own Redis"
    well = (
        "settings",
        "Python",
        "Node",
        "files",
        "zones",
        "var",
        "disk",
        "Redis",
        "clock",
        "claude",
        "login",
    )
    assert {name: found[name][0] for name in well} == dict.fromkeys(well, "ok")
    assert "evicts nothing" in found["Redis"][1]
    assert "billed to the account that claude is logged in with" in found["claude"][1]
    assert "2 to look at." in baton(site, "doctor")


def test_what_keeps_tasks_from_running_is_bad_and_has_its_remedy(site: Site) -> None:
    program(site.folder, '{"loggedIn": false}')
    site.store.close_gate("all", "pause", by="somebody", why="holidays", until_ms=None)
    site.store.client.config_set("maxmemory-policy", "allkeys-lru")
    said = baton_fails(site)
    assert "ok    claude" in said, "a login lies there, and claude does not take it"
    assert "bad   login      claude has no credential" in said
    assert "→ ./baton login" in said
    assert "warn  gate       gate closed for all tasks: pause" in said
    assert "bad   Redis      it may throw tasks away" in said
    assert "2 wrong, 3 to look at." in said


def test_what_stands_in_the_way_of_parts_is_repeated(site: Site) -> None:
    claude = {"command": str(site.folder / "claude")}
    site.configure({"consumers": 1, "claude": claude, "watchers": {"inbox": WATCHERS["inbox"]}})
    settings, store = site.settings, site.store
    assert "can be made" in by_name(site)["inbox"][1]
    watcher = Lock(lock_path(settings.var, "baton-watch-inbox"))
    assert watcher.take()
    for host, subject in ((settings.host, "watcher:inbox"), ("nas", "app:baton-alerts")):
        Problems(store.client, store.prefix, host=host).tell(subject, "it is gone")
    Problems(store.client, store.prefix, host="nas").tell("schedule:nightly", "a tick ran late")
    said = baton_fails(site)
    watcher.close()
    assert f"bad   watcher:inbox on {settings.host}: it is gone (since " in said
    assert "→ ./baton why inbox" in said
    assert "bad   app:baton-alerts on nas: it is gone" in said
    assert "warn  schedule:nightly on nas: a tick ran late" in said
    assert "can be made" not in said


def test_an_app_in_a_restart_loop_is_bad_though_it_runs_between_two_crashes(site: Site) -> None:
    var = site.settings.var
    for _ in range(5):
        starts.note_start(var, "baton-consumer-1", "consumer", "1")
    assert "restart loop" not in baton(site, "doctor"), "four crashes are none yet"
    starts.note_start(var, "baton-consumer-1", "consumer", "1")
    said = baton_fails(site)
    assert "bad   PM2        baton-consumer-1 is in a restart loop" in said
    assert "→ ./baton logs baton-consumer-1" in said


def test_a_claude_that_nobody_pays_for_is_said_once(site: Site) -> None:
    (site.folder / "home" / ".claude" / ".credentials.json").unlink()
    said = baton_fails(site)
    assert "bad   claude" in said
    assert "billed to nobody" in said
    assert "1 wrong, 2 to look at." in said


def test_a_redis_and_a_claude_that_are_not_there_are_said(site: Site) -> None:
    site.stop("redis")
    (site.folder / "claude").unlink()
    said = baton_fails(site)
    assert "does not answer" in said
    assert "→ ./baton up starts it" in said
    assert "Claude Code is not found" in said


def test_what_the_machine_lacks_is_said(site: Site) -> None:
    old = site.folder / "old"
    old.mkdir()
    (old / "node").write_text("#!/bin/sh\necho v16.20.0\n")
    (old / "node").chmod(0o755)
    (site.folder / "tzdata.py").write_text("raise ImportError('hidden by a test')\n")
    said = baton_fails(
        site,
        *("bash", "-c", 'ulimit -n 256 && exec "$@"', "-"),
        PATH=f"{old}:{site.env['PATH']}",
        PYTHONTZPATH="",
        PYTHONPATH=f"{site.folder}:{ROOT}",
    )
    assert "warn  files      only 256 open files" in said
    assert "bad   Node       v16.20.0" in said
    assert "bad   zones      there are no time zone data" in said
    assert "there is no Node.js" in baton_fails(site, PATH="/nowhere", BATON_NODE="")


@pytest.fixture
def mounted() -> Iterator[Callable[..., None]]:
    """Mount a tmpfs with these options; gone at the end. Skips where that is not allowed."""
    places: list[Path] = []

    def mount(place: Path, options: str) -> None:
        place.mkdir(parents=True, exist_ok=True)
        words = ["mount", "-t", "tmpfs", "-o", options, "none", str(place)]
        if subprocess.run(words, capture_output=True).returncode:
            pytest.skip("nothing can be mounted here")
        places.append(place)

    yield mount
    for place in reversed(places):
        subprocess.run(["umount", "-l", str(place)], check=True)


WATCHERS = {
    "inbox": {"path": "Inbox", "done": "Done", "failed": "Failed", "prompt": "p"},
    "other": {"path": "Other", "done": "leave", "failed": "Failed", "prompt": "p"},
    "file": {"path": "occupied", "done": "leave", "failed": "Failed", "prompt": "p"},
}


def test_folders_that_cannot_work_are_said(site: Site, mounted: Callable[..., None]) -> None:
    site.configure({"consumers": 1, "watchers": WATCHERS})
    mounted(site.folder / "Inbox" / ".claimed", "size=1m")
    mounted(site.folder / "Done", "ro")
    mounted(site.folder / "full", "size=1m,nr_inodes=900")
    (site.folder / "Other").mkdir()
    (site.folder / "occupied").touch()
    (site.folder / "var").chmod(0o755)
    said = baton_fails(site)
    folder = site.folder.resolve()
    assert f"bad   inbox      {folder / 'Done'} cannot be written" in said
    assert f"bad   inbox      {folder / 'Inbox' / '.claimed'} lies on another file system" in said
    assert f"warn  inbox      {folder / 'Done'} lies on another file system" in said
    assert f"ok    other      {folder / 'Other'}" in said
    assert f"bad   file       {folder / 'occupied'} is no folder" in said
    assert "is open to others (mode 55" in said
    assert machine.disk(site.folder / "full").words.endswith(f"fit at {site.folder / 'full'}")


def test_a_disk_that_is_nearly_full_is_bad(short_tmp: Path, mounted: Callable[..., None]) -> None:
    mounted(short_tmp / "small", "size=100m")
    assert machine.disk(short_tmp / "small" / "var").verdict == "bad"
    mounted(short_tmp / "some", "size=1g")
    assert machine.disk(short_tmp / "some").verdict == "warn"


def test_what_an_end_has_left_and_who_else_is_at_work_is_said(site: Site) -> None:
    site.stop("redis")
    home = site.folder / "pm2"
    home.mkdir()
    modules = ROOT / "node_modules" / "pm2"
    title = f"PM2 v1.2.3: God Daemon ({site.folder / 'another'})"
    start = f"{sys.executable} {ROOT / 'app.py'} redis & echo $! >&2; wait"
    daemon = subprocess.Popen(
        ["bash", "-c", f'exec -a "{title}" bash -c "{start}"'],
        env=site.env,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        (home / "pm2.pid").write_text(str(daemon.pid))
        wait_until(lambda: answers(site.settings.run_dir / "redis.sock"), what="Redis answers")
        (site.folder / "var" / "stopping").touch()
        said = baton_fails(site, PM2_HOME=str(home))
        assert "stopping is left of a ./baton down" in said
        assert "under another PM2: PM2 v1.2.3: God Daemon" in said
        assert ("its daemon is of version 1.2.3" in said) == modules.exists()
        lock = Lock(lock_path(site.folder / "var", "up"))
        assert lock.take()
        assert f"is at work (pid {os.getpid()})" in baton_fails(site, PM2_HOME=str(home))
        lock.close()
    finally:
        os.killpg(daemon.pid, signal.SIGTERM)
        daemon.wait()


def test_whose_data_they_are_is_looked_at(site: Site) -> None:
    site.store.submit([Submission(id="a", body=b"{}", version=MESSAGE + 1)])
    assert "tasks made by a newer Baton (version 2): 1" in by_name(site)["data"][1]
    note = site.folder / "var" / "dataset.json"
    note.write_text('{"id": "another", "token": 0}')
    assert "are empty, but this folder has worked on others" in baton_fails(site)
    site.store.client.hset(f"{site.store.prefix}dataset", mapping={"id": "theirs", "format": 1})
    assert "belong to another state folder" in baton_fails(site)
    site.store.client.hset(f"{site.store.prefix}dataset", "format", FORMAT + 1)
    assert "upgrade this machine" in baton_fails(site)
    assert note.read_text() == '{"id": "another", "token": 0}', "looking changes nothing"


def test_rights_that_somebody_has_spelled_out_are_named(site: Site) -> None:
    (site.folder / "mine.py").write_text(
        "from tasks import claude\n"
        "@claude.task(permission_mode='bypassPermissions')\n"
        "def all_of_it(): return 'x'\n"
    )
    bypass = {"permission_mode": "bypassPermissions"}
    site.configure(
        {
            "consumers": 1,
            "tasks": ["mine"],
            "claude": {"command": str(site.folder / "claude"), **bypass},
            "watchers": {"inbox": WATCHERS["inbox"] | bypass},
            "schedules": {
                "daily": {"cron": "@daily", "prompt": "p", "setting_sources": ["user", "project"]}
            },
        }
    )
    found = [row["words"] for row in facts(site, "doctor") if row["what"] == "rights"]
    assert [words.split(": ")[0].rstrip(":") for words in found] == [
        "claude",
        "watchers.inbox",
        "schedules.daily",
        "@claude.task mine.all_of_it",
    ]
    assert all(row["verdict"] == "warn" for row in facts(site, "doctor") if row["what"] == "rights")
    (site.folder / "mine.py").write_text("import nothing_of_this_name\n")
    assert "bad   tasks      tasks: mine" in baton_fails(site)
