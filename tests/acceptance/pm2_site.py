"""A site whose apps run under a real PM2 with a home of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.locks import holder, lock_path
from cli.pm2 import Pm2, Process
from tests.conftest import ROOT, wait_until
from tests.site import Site

PM2 = ROOT / "node_modules" / ".bin" / "pm2"


class Pm2Site(Site):
    """Adds the command line and PM2; `close` ends the apps, the daemon and whatever is left."""

    def __init__(
        self, folder: Path, config: dict[str, Any], env: dict[str, str] | None = None
    ) -> None:
        if not PM2.exists() and not shutil.which("pm2"):
            pytest.fail("PM2 is missing: ./baton test installs it")
        own = {"PM2_HOME": str(folder / "pm2"), "PYTHONPATH": str(ROOT), **(env or {})}
        super().__init__(folder, config, own)

    def command(self, *words: str) -> list[str]:
        """A call of the command line."""
        return [sys.executable, "-P", "-m", "cli", *words]

    def call(self, *words: str, env: dict[str, str] | None = None) -> tuple[int, str, str]:
        """Exit status, output and errors of a call from a folder that is not the repository."""
        done = subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.env | (env or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
        )
        return done.returncode, done.stdout, done.stderr

    def facts(self, *words: str) -> Any:
        """What a call says in JSON; it must succeed."""
        status, out, errors = self.call(*words, "--json")
        assert status == 0, out + errors
        return json.loads(out)

    @property
    def pm2(self) -> Pm2:
        """The PM2 of this site."""
        return Pm2(ROOT, self.env)

    def raw_pm2(self, *words: str, env: dict[str, str] | None = None) -> str:
        """What `pm2 WORDS` prints, called by hand in the repository, from a shell of any kind."""
        command = str(PM2) if PM2.exists() else "pm2"
        done = subprocess.run(
            [command, *words],
            cwd=ROOT,
            env=self.env | {"BATON_PYTHON": sys.executable} | (env or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def process(self, app: str) -> Process:
        """One app as PM2 sees it."""
        return next(p for p in self.pm2.processes() if p.name == app)

    def pids(self) -> dict[str, int]:
        """The pid of each app."""
        return {process.name: process.pid for process in self.pm2.processes()}

    def ready(self, app: str) -> int | None:
        """The pid of an app that holds its lock and is ready."""
        held = holder(lock_path(self.folder / "var", app))
        return held.pid if held and held.ready and _lives(held.pid) else None

    def kill_daemon(self) -> None:
        """SIGKILL the PM2 daemon alone."""
        pid = int((self.pm2.home / "pm2.pid").read_text())
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not self.pm2.daemon_runs(), what="the daemon is gone")

    def left(self) -> dict[int, str]:
        """Every live process of this site, but for the daemon and this one.

        The server writes over its environment; it is known by its working folder.
        """
        var = str(self.folder / "var")
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, ValueError):
                environ = (folder / "environ").read_bytes().split(b"\0")
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                ours = f"BATON_VAR={var}".encode() in environ
                if ours or os.readlink(folder / "cwd").startswith(var):
                    found[int(folder.name)] = command
        return {p: c for p, c in found.items() if p != os.getpid() and "God Daemon" not in c}

    def close(self) -> None:
        """End everything of this site; by SIGKILL, which is quicker than `down`, unless claude may run."""
        super().close()
        if (self.folder / "var" / "attempts").exists():
            self.call("down")
        if self.pm2.daemon_runs():
            self.kill_daemon()
        while left := self.left():
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def _lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
