"""What starts an instance at boot: its text, and how it is written, refused, shown and taken away."""

import json
import os
import plistlib
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cli import boot, unit
from cli.__main__ import main
from cli.apps import KILL_TIMEOUT_MS
from tests.conftest import ROOT

NASTY = 'a "folder" with\\ 100% $HOME'


def about(user: str = "me", folder: str = "/srv/baton", **env: str) -> unit.Boot:
    return unit.Boot(Path(folder), Path(folder) / "var", "baton", user, {"HOME": "/home/me", **env})


def values(text: str, name: str) -> list[str]:
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{name}=")]


def test_a_stop_has_time_for_every_stage_and_the_ladder() -> None:
    text = unit.systemd(about())
    assert int(values(text, "TimeoutStopSec")[0]) > sum(KILL_TIMEOUT_MS.values()) / 1000 + 10
    for line in ("OOMPolicy=continue", "UMask=0077", "KillMode=control-group", "User=me",
                 'ExecStart="/srv/baton/baton" boot start', 'ExecStop="/srv/baton/baton" down',
                 "After=network-online.target", "WantedBy=multi-user.target"):  # fmt: skip
        assert line in text.splitlines()


def test_a_users_own_unit_names_no_user_and_no_target_of_the_system() -> None:
    text = unit.systemd(about(user=""))
    assert "User=" not in text
    assert "network-online" not in text
    assert values(text, "WantedBy") == ["default.target"]


def test_the_instance_is_in_the_name() -> None:
    assert unit.name_of("baton") == "baton"
    assert unit.name_of("night") == "baton-night"


def test_whatever_a_path_or_a_variable_holds_stays_one_word() -> None:
    text = unit.systemd(about(folder=f"/srv/{NASTY}", LANG='C" "X=1\nExecStart=/bin/evil'))
    assert values(text, "ExecStart") == [
        '"/srv/a \\"folder\\" with\\\\ 100%% $HOME/baton" boot start'
    ]
    assert '"LANG=C\\" \\"X=1\\nExecStart=/bin/evil"' in values(text, "Environment")
    assert values(text, "WorkingDirectory") == ['/srv/a "folder" with\\ 100%% $HOME']


@pytest.mark.parametrize("user", ["root", ""], ids=["system", "user"])
@pytest.mark.parametrize("folder", ["plain", "with a space, 100% and $HOME"])
def test_systemd_takes_the_unit(tmp_path: Path, user: str, folder: str) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip(
            "no systemd-analyze here (Debian: apt install systemd), so nobody checks the unit"
        )
    root = tmp_path / folder
    (root / "var").mkdir(parents=True)
    (root / "baton").touch(mode=0o755)
    file = tmp_path / "baton.service"
    file.write_text(unit.systemd(about(user, str(root))))
    scope = ["--user"] if not user else []
    command = ["systemd-analyze", *scope, "--man=no", "verify", str(file)]
    env = os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    complaints = [line for line in done.stderr.splitlines() if "baton" in line]
    assert complaints == []
    file.write_text(file.read_text().replace("OOMPolicy=continue", "OOMPolicy=nonsense"))
    assert "OOM policy" in subprocess.run(command, capture_output=True, text=True, env=env).stderr


def test_launchd_gets_a_job_with_the_same_start_and_environment() -> None:
    job = plistlib.loads(unit.launchd(about(LANG="de", BATON_VAR="/srv/baton/var")))
    assert job["ProgramArguments"] == ["/srv/baton/baton", "boot", "start"]
    assert job["EnvironmentVariables"]["LANG"] == "de"
    assert (job["RunAtLoad"], job["AbandonProcessGroup"], job["Umask"]) == (True, True, 0o077)
    assert unit.belongs_to(unit.launchd(about(BATON_VAR="/srv/baton/var")), about())


def test_a_unit_of_another_folder_is_told_from_ours() -> None:
    ours = unit.systemd(about()).encode()
    assert unit.belongs_to(ours, about())
    assert not unit.belongs_to(ours, about(folder="/srv/bat"))
    assert not unit.belongs_to(b"[Unit]\nDescription=of somebody\n", about())


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a configuration, and a `systemctl` that writes down how it is called."""
    (tmp_path / "baton.yaml").write_text("instance: night\n")
    (tmp_path / "var").mkdir()
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "systemctl"
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n')
    program.chmod(0o700)
    for name, value in {
        "BATON_CONFIG": tmp_path / "baton.yaml", "BATON_VAR": tmp_path / "var", "HOME": tmp_path,
        "XDG_CONFIG_HOME": tmp_path / "config", "PM2_HOME": tmp_path / "pm2",
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("SECRET", "hush-hush")
    # The unit is one of a user's own, also where the tests run as root: nothing is written to /etc.
    monkeypatch.setattr("os.getuid", lambda: tmp_path.stat().st_uid or 1)
    monkeypatch.setattr(boot, "_owner", lambda settings: _user(tmp_path))
    monkeypatch.setattr(boot, "BOOTED", tmp_path)
    monkeypatch.setattr(boot, "_lingers", lambda: False)
    monkeypatch.setattr(boot, "_linger_command", lambda: "loginctl enable-linger me")
    return tmp_path


def _user(folder: Path) -> Any:
    import pwd

    return pwd.struct_passwd(("me", "x", os.getuid(), 0, "", str(folder), "/bin/sh"))


def status(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["boot", "status", "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_install_writes_enables_and_says_what_it_ran_and_remove_undoes_it(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not status(capsys)["installed"]
    assert main(["boot", "install"]) == 0
    said = capsys.readouterr().out
    file = here / "config" / "systemd" / "user" / "baton-night.service"
    assert f"Wrote {file}" in said
    assert "$ systemctl --user enable baton-night.service" in said
    assert "loginctl enable-linger me" in said
    assert (here / "calls").read_text().splitlines() == [
        "--user daemon-reload", "--user enable baton-night.service",
    ]  # fmt: skip
    text = file.read_text()
    assert "hush-hush" not in text
    assert f'"BATON_VAR={here / "var"}"' in values(text, "Environment")
    assert f'"PM2_HOME={here / "pm2"}"' in values(text, "Environment")
    assert [f.name for f in file.parent.iterdir()] == [file.name]

    found = status(capsys)
    assert (found["installed"], found["current"], found["enabled"]) == (True, True, True)
    file.write_text(text + "# by hand\n")
    assert not status(capsys)["current"]
    assert main(["boot", "status"]) == 0
    assert "not as it would be written now" in capsys.readouterr().out

    assert main(["boot", "remove"]) == 0
    assert not file.exists()
    assert "--user disable baton-night.service" in (here / "calls").read_text()


@pytest.mark.parametrize("verb", ["install", "remove"])
def test_a_unit_of_somebody_else_is_left_alone(
    here: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    file = here / "config" / "systemd" / "user" / "baton-night.service"
    file.parent.mkdir(parents=True)
    file.write_text("[Unit]\n")
    assert main(["boot", verb]) == 1
    assert "instance:" in capsys.readouterr().err
    assert file.read_text() == "[Unit]\n"
    assert status(capsys)["foreign"]
    assert not (here / "calls").exists()


def test_a_command_that_fails_is_said_with_its_words(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "bin" / "systemctl").write_text("#!/bin/sh\necho no bus >&2\nexit 1\n")
    assert main(["boot", "install"]) == 1
    said = capsys.readouterr().err
    assert "no bus" in said
    assert "Run it by hand: systemctl --user daemon-reload" in said


def test_without_systemd_the_unit_is_left_with_what_to_do(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boot, "BOOTED", here / "nothing")
    assert main(["boot", "install"]) == 1
    said = capsys.readouterr().err
    assert "systemd does not run here" in said
    assert f"{ROOT / 'baton'} boot start" in said
    assert (here / "var" / "baton-night.service").exists()
    assert not (here / "calls").exists()
    assert status(capsys)["available"] is False
    assert main(["boot", "status"]) == 0
    said = capsys.readouterr().out
    assert "boot install" not in said, "it does nothing here"
    assert "./baton boot start" in said
    assert main(["boot", "remove"]) == 0
    assert not (here / "var" / "baton-night.service").exists()


def test_where_it_is_told_to_it_only_writes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["boot", "install", "--into", str(here / "image")]) == 0
    assert (here / "image" / "baton-night.service").exists()
    assert not (here / "calls").exists()
    assert "systemctl --user enable baton-night.service" in capsys.readouterr().out


def test_a_folder_of_another_user_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = _user(here)
    monkeypatch.setattr(boot, "_owner", lambda settings: owner)
    monkeypatch.setattr("os.getuid", lambda: 4711)
    assert main(["boot", "install"]) == 1
    assert "as root" in capsys.readouterr().err


def test_a_user_without_a_name_is_no_reason_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers run under numbers; doctor asks for the unit there, too."""
    monkeypatch.setenv("HOME", "/somewhere")
    nobody = boot._user(2**31 - 7)
    assert (nobody.pw_name, nobody.pw_dir) == (str(2**31 - 7), "/somewhere")


@pytest.mark.parametrize("name", ["bob's", 'a "b"', "back\\", "end ", "a\nOnFailure=evil", "a\rb"])
def test_a_folder_that_no_unit_can_name_is_refused_before_anything_is_written(
    name: str, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd would call the unit bad at the next boot, or take a part of the name for a setting."""
    found = unit.unfit(about(folder=f"/srv/{name}"))
    assert repr(f"/srv/{name}") in found or repr(f"/srv/{name}/var") in found
    monkeypatch.setattr(unit, "unfit", lambda boot: found)
    assert main(["boot", "install"]) == 1
    assert "No unit of systemd can name this folder" in capsys.readouterr().err
    assert not (here / "config").exists()


@pytest.mark.parametrize("name", ["a b", "100%", "$HOME", "über", "a;b#c"])
def test_any_other_folder_is_fit(name: str) -> None:
    assert unit.unfit(about(folder=f"/srv/{name}")) == ""


def test_a_state_folder_may_hold_a_quote_but_no_end_of_a_line() -> None:
    plain = about()
    assert unit.unfit(plain._replace(var=Path("/srv/bob's"))) == ""
    assert "ends a line" in unit.unfit(plain._replace(var=Path("/srv/a\nOnFailure=evil")))
