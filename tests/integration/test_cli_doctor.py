"""`./baton doctor`: what is well, what deserves a look, what is wrong, each with its remedy."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

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


def baton_fails(site: Site) -> str:
    """What it prints when it ends with 1."""
    done = subprocess.run(command("doctor"), env=env(site), cwd=site.folder, capture_output=True)
    assert done.returncode == 1, done.stderr
    assert b"Traceback" not in done.stderr
    return done.stdout.decode()


def test_an_instance_that_only_needs_to_be_started_is_well_but_for_that(site: Site) -> None:
    found = by_name(site)
    assert found["PM2"][0] == "look"
    assert "apps do not run" in found["PM2"][1]
    well = ("settings", "Python", "files", "var", "disk", "Redis", "clock", "claude", "login")
    assert {name: found[name][0] for name in well} == dict.fromkeys(well, "ok")
    assert "evicts nothing" in found["Redis"][1]
    assert "billed to the account that claude is logged in with" in found["claude"][1]
    assert "1 to look at." in baton(site, "doctor")


def test_what_keeps_tasks_from_running_is_bad_and_has_its_remedy(site: Site) -> None:
    program(site.folder, '{"loggedIn": false}')
    site.store.close_gate("all", "pause", by="somebody", why="holidays", until_ms=None)
    site.store.client.config_set("maxmemory-policy", "allkeys-lru")
    said = baton_fails(site)
    assert "ok    claude" in said, "a login lies there, and claude does not take it"
    assert "bad   login      claude has no credential" in said
    assert "→ ./baton login" in said
    assert "look  gate       gate closed for all tasks: pause" in said
    assert "bad   Redis      it may throw tasks away" in said
    assert "2 wrong, 2 to look at." in said


def test_a_claude_that_nobody_pays_for_is_said_once(site: Site) -> None:
    (site.folder / "home" / ".claude" / ".credentials.json").unlink()
    said = baton_fails(site)
    assert "bad   claude" in said
    assert "billed to nobody" in said
    assert "1 wrong, 1 to look at." in said


def test_a_redis_and_a_claude_that_are_not_there_are_said(site: Site) -> None:
    site.stop("redis")
    (site.folder / "claude").unlink()
    said = baton_fails(site)
    assert "does not answer" in said
    assert "→ ./baton up starts it" in said
    assert "Claude Code is not found" in said
