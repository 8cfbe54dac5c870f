"""What is asked of PM2, and how its answers are read, without a PM2."""

import json
import socket
from pathlib import Path

import pytest

from cli.errors import CliError
from cli.pm2 import Pm2, clean_environment, parse_list


@pytest.mark.parametrize(
    "printed",
    [
        '[{"name": "a"}]\n',
        '[PM2] Spawning PM2 daemon\n[PM2] done\n[{"name": "a"}]',
        '>>>> In-memory PM2 is out-of-date, do:\n>>>> $ pm2 update\n[{"name": "a"}]\n\n',
    ],
)
def test_the_list_is_found_among_banners(printed: str) -> None:
    assert parse_list(printed) == [{"name": "a"}]


def test_an_answer_without_a_list_says_what_to_look_at() -> None:
    with pytest.raises(CliError, match="pm2 jlist"):
        parse_list("[PM2][ERROR] nothing works\n")


def test_pm2_sees_nothing_of_the_shell_but_what_it_needs() -> None:
    shell = {
        "PATH": "/bin",
        "HOME": "/home/me",
        "ANTHROPIC_API_KEY": "secret",
        "REDIS_URL": "redis://:secret@host",
        "name": "evil",
        "BATON_NODE": "/venv/node/bin",
    }
    clean = clean_environment(shell)
    assert clean["PATH"] == "/venv/node/bin:/bin"
    assert "secret" not in json.dumps(clean)
    assert "name" not in clean
    assert clean["PM2_DISABLE_VERSION_CHECK"] == "1"


def test_looking_for_apps_starts_no_daemon(tmp_path: Path) -> None:
    pm2 = Pm2(tmp_path, {"PM2_HOME": str(tmp_path / "home"), "PATH": ""})
    assert pm2.processes() == []
    assert not (tmp_path / "home").exists()


def test_a_home_that_would_hang_pm2_is_refused(tmp_path: Path) -> None:
    pm2 = Pm2(tmp_path, {"PM2_HOME": str(tmp_path / ("x" * 100)), "PATH": ""})
    with pytest.raises(CliError, match="too long"):
        pm2.processes()


def test_a_missing_pm2_is_said_with_its_remedy(tmp_path: Path) -> None:
    pm2 = Pm2(tmp_path, {"PM2_HOME": str(tmp_path), "PATH": str(tmp_path)})
    with pytest.raises(CliError, match="baton up"):
        pm2.start(["a"])


def fake_pm2(tmp_path: Path, script: str) -> Pm2:
    """A pm2 that is a shell script, and the socket of a daemon that answers."""
    binaries = tmp_path / "node_modules" / ".bin"
    binaries.mkdir(parents=True)
    (binaries / "pm2").write_text(f"#!/bin/sh\n{script}\n")
    (binaries / "pm2").chmod(0o700)
    return Pm2(tmp_path, {"PM2_HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "HOME": "/h"})


def test_an_app_is_read_from_the_list(tmp_path: Path) -> None:
    about = {
        "status": "waiting restart",
        "pm_cwd": "/repo",
        "env": {"BATON_VAR": "/repo/var", "n": 1},
        "restart_time": 3,
        "pm_uptime": 1000,
        "exit_code": 78,
    }
    entry = {"name": "baton-redis", "pid": 0, "pm2_env": about, "monit": {"memory": 5}}
    pm2 = fake_pm2(tmp_path, f"echo '{json.dumps([entry])}'")
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.bind(str(tmp_path / "rpc.sock"))
        daemon.listen()
        [found] = pm2.processes()
    assert (found.name, found.exit_code, found.restarts) == ("baton-redis", 78, 3)
    assert found.env == {"BATON_VAR": "/repo/var", "n": "1"}
    assert not found.runs


def test_apps_are_deleted_by_exactly_their_names(tmp_path: Path) -> None:
    pm2 = fake_pm2(tmp_path, 'printf "%s\\n" "$@" >>called')
    pm2.delete([])
    pm2.delete(["baton-consumer-1", "a.b"])
    assert (tmp_path / "called").read_text() == "delete\n/^(?:baton\\-consumer\\-1|a\\.b)$/\n"


def test_what_pm2_says_when_it_refuses_is_passed_on(tmp_path: Path) -> None:
    pm2 = fake_pm2(tmp_path, "echo no such app >&2; exit 1")
    with pytest.raises(CliError, match="no such app"):
        pm2.start(["a"])


def test_files_that_pm2_writes_are_private(tmp_path: Path) -> None:
    fake_pm2(tmp_path, "umask >mask").start(["a"])
    assert (tmp_path / "mask").read_text().strip() == "0077"
