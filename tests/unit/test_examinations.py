"""What doctor concludes where the real thing cannot be had: a kernel's limits, a clock, a stranger in PM2, a hang."""

import os
import threading
from pathlib import Path

import pytest

from cli import boot
from cli.examinations import machine, processes, server, side_by_side
from cli.examinations.findings import Finding
from cli.pm2 import ONLINE, Pm2, Process
from settings import load


def proc(folder: Path, watches: int, instances: int, used: int) -> Path:
    """A /proc in which this user has `used` inotify instances, and another user's process hides its own."""
    limits = folder / "sys" / "fs" / "inotify"
    limits.mkdir(parents=True)
    (limits / "max_user_watches").write_text(f"{watches}\n")
    (limits / "max_user_instances").write_text(f"{instances}\n")
    (folder / "7" / "fd").mkdir(parents=True)
    for number in range(used):
        (folder / "7" / "fd" / str(number)).symlink_to("anon_inode:inotify")
    (folder / "7" / "fd" / "99").symlink_to("/dev/null")
    (folder / "8").mkdir()
    return folder


@pytest.mark.parametrize(
    ("watches", "instances", "used", "verdict", "words"),
    [
        (65536, 128, 3, "ok", "3 of 128 instances"),
        (4096, 128, 3, "warn", "only 4096 folders"),
        (65536, 10, 9, "warn", "9 of 10 inotify instances are in use"),
    ],
)
def test_inotify(
    tmp_path: Path, watches: int, instances: int, used: int, verdict: str, words: str
) -> None:
    [found] = machine.inotify(proc(tmp_path, watches, instances, used))
    assert found.verdict == verdict
    assert words in found.words


def test_a_system_without_inotify_is_not_judged(tmp_path: Path) -> None:
    assert list(machine.inotify(tmp_path)) == []


@pytest.mark.parametrize(
    ("ahead_s", "verdict"), [(0.4, "ok"), (-5, "warn"), (5, "warn"), (31, "bad")]
)
def test_a_clock_that_disagrees(ahead_s: float, verdict: str) -> None:
    assert server.clock(ahead_s).verdict == verdict
    assert ("behind" in server.clock(ahead_s).words) == (ahead_s < -1)


def test_another_folder_under_the_same_name_in_this_pm2(tmp_path: Path) -> None:
    (tmp_path / "baton.yaml").write_text("consumers: 1\n")
    settings = load(environ={"BATON_CONFIG": str(tmp_path / "baton.yaml"), "HOME": str(tmp_path)})
    stranger = Process(
        "baton-consumer-1", 1, ONLINE, "/elsewhere", {"BATON_VAR": "/elsewhere/var"}, 0, 0, 0, None
    )
    pm2 = Pm2(tmp_path, {"PM2_HOME": str(tmp_path)})
    found = [f for f in processes._apps(settings, pm2, [stranger], []) if f.what == "instance"]
    assert found[0].verdict == "bad"
    assert "belongs to /elsewhere/var" in found[0].words
    assert "instance: NAME" in found[0].remedy


def test_the_start_at_boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "baton.yaml").write_text("consumers: 1\n")
    settings = load(environ={"BATON_CONFIG": str(tmp_path / "baton.yaml"), "HOME": str(tmp_path)})
    systemctl = tmp_path / "systemctl"
    systemctl.write_text("#!/bin/sh\nexit 0\n")
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(boot, "BOOTED", tmp_path)
    monkeypatch.setattr(boot, "_lingers", lambda: True)
    unit = boot.target(settings, tmp_path / "units")
    said = [processes.at_boot(unit)]
    unit.file.parent.mkdir()
    for text in (unit.text, unit.text + b"\n# by hand\n", b"[Service]\n"):
        unit.file.write_bytes(text)
        said.append(processes.at_boot(unit))
    unit.file.write_bytes(unit.text)
    systemctl.write_text("#!/bin/sh\nexit 1\n")
    said.append(processes.at_boot(unit))
    unit.file.unlink()
    monkeypatch.setattr(boot, "BOOTED", tmp_path / "nothing")
    said.append(processes.at_boot(unit))
    assert [f.verdict for f in said] == ["warn", "ok", "warn", "warn", "warn", "ok"]
    assert said[0].remedy == "./baton boot install"
    assert "not of this instance" in said[3].words
    assert "not enabled" in said[4].words


def test_what_hangs_is_a_finding_and_hides_nothing() -> None:
    never = threading.Event()

    def hangs() -> list[Finding]:
        never.wait()
        return []

    def speaks_then_hangs():  # type: ignore[no-untyped-def]
        yield Finding("ok", "first", "well")
        never.wait()

    def breaks() -> list[Finding]:
        raise ZeroDivisionError("a mistake")

    def well() -> list[Finding]:
        return [Finding("ok", "last", "well")]

    parts = [("one", hangs), ("two", speaks_then_hangs), ("three", breaks), ("four", well)]
    found = list(side_by_side(parts, 0.3))
    never.set()
    assert [(f.verdict, f.what) for f in found] == [
        ("bad", "one"),
        ("ok", "first"),
        ("bad", "two"),
        ("bad", "doctor"),
        ("ok", "last"),
    ]
    assert "not examined within" in found[0].words
    assert "ZeroDivisionError: a mistake" in found[3].words
    assert str(os.getpid()) in found[3].remedy
