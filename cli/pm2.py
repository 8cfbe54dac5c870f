"""The only place that knows how to talk to PM2: list, start, delete, each from a clean environment.

PM2 7 has traps: it starts a daemon when asked for a list, prints banners before its JSON, reports
success for an app that died at once, and copies the caller's environment into its files.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cli.apps import PASSED_ON
from cli.errors import CliError
from cli.pm2_socket import list_apps

ONLINE = "online"
# What the PM2 command line itself needs, and what ecosystem.config.js needs to find our list.
_PASSED_ON = (*PASSED_ON, "PM2_HOME", "BATON_CONFIG", "BATON_VAR")
# A unix socket's path ends at 108 bytes (104 on macOS); beyond that the PM2 command line hangs.
_LONGEST_SOCKET = 103
_SOCKET = "rpc.sock"
# Starting waits for `ready` (60 s at most), deleting for the longest kill_timeout (60 s).
PATIENCE_S = 180.0


class Process(NamedTuple):
    """One app as PM2 sees it."""

    name: str
    pid: int  # 0 when no process runs
    status: str  # online, launching, stopping, stopped, errored, waiting restart
    cwd: str
    env: dict[str, str]
    restarts: int
    started_ms: int
    memory_bytes: int
    exit_code: int | None

    @property
    def runs(self) -> bool:
        """Whether a process is there, ready or not."""
        return self.pid != 0 and self.status in {ONLINE, "launching"}


class Pm2:
    """The PM2 of one user: the daemon at PM2_HOME, reached through the command line."""

    def __init__(
        self, root: Path, environ: Mapping[str, str], patience_s: float = PATIENCE_S
    ) -> None:
        self.root, self.patience_s = root, patience_s
        self.home = Path(environ.get("PM2_HOME") or Path(environ.get("HOME", "/")) / ".pm2")
        self._environ = environ

    def daemon_runs(self) -> bool:
        """Whether a daemon answers; asking PM2 itself would start one."""
        self._check_home()
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.home / _SOCKET))
            except OSError:
                return False
        return True

    def daemon_pid(self) -> int:
        """The pid that the daemon wrote down; 0 where it wrote none."""
        try:
            return int((self.home / "pm2.pid").read_text())
        except (OSError, ValueError):
            return 0

    def processes(self) -> list[Process]:
        """Return every app of this PM2, ours or not; none when no daemon runs."""
        if not self.daemon_runs():
            return []
        found = self._asked()
        return [_process(e) for e in (parse_list(self._call("jlist")) if found is None else found)]

    def _asked(self) -> list[dict[str, Any]] | None:
        """What the daemon itself says; None where that is not to be understood."""
        try:
            return list_apps(self.home / _SOCKET)
        except OSError:  # a daemon that hangs, or goes at this moment
            return None

    def start(self, names: Sequence[str]) -> None:
        """Start apps of ecosystem.config.js that PM2 does not have; PM2 waits for their `ready`.

        Returning says nothing about their health: PM2 reports success for an app that died.
        """
        self._call("start", "ecosystem.config.js", "--only", ",".join(names))

    def delete(self, names: Sequence[str]) -> None:
        """Stop apps side by side, wait until each has gone, and make PM2 forget them."""
        if names:
            self._call("delete", f"/^(?:{'|'.join(map(re.escape, names))})$/")

    def end_daemon(self) -> None:
        """End the daemon and all apps in it: only for a PM2_HOME that is nobody else's."""
        if self.daemon_runs():
            self._call("kill")

    def _call(self, *words: str) -> str:
        import subprocess  # the daemon itself is asked without

        self._check_home()
        command = [self._executable(), *words]
        try:
            done = subprocess.run(
                command,
                cwd=self.root,
                env=clean_environment(self._environ) | {"BATON_PYTHON": sys.executable},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                umask=0o077,  # PM2's logs and dumps are nobody else's business
                timeout=self.patience_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise CliError(
                f"PM2 gave no answer to '{words[0]}' within {self.patience_s:.0f} s.",
                f"Look at {self.home / 'pm2.log'}; `pm2 ping` says whether the daemon lives.",
            ) from error
        if done.returncode:
            said = (done.stderr + done.stdout).strip()[-1500:]
            raise CliError(f"PM2 refused '{words[0]}':\n{said}", f"Its log: {self.home}/pm2.log")
        return done.stdout

    def _executable(self) -> str:
        import shutil

        ours = self.root / "node_modules" / ".bin" / "pm2"
        found = str(ours) if ours.exists() else shutil.which("pm2", path=self._environ.get("PATH"))
        if found is None:
            raise CliError("PM2 is missing.", "Run ./baton up in the repository: it installs it.")
        return found

    def _check_home(self) -> None:
        if len(os.fsencode(self.home / _SOCKET)) > _LONGEST_SOCKET:
            raise CliError(
                f"PM2_HOME={self.home} is too long for a unix socket.",
                "Set PM2_HOME to a shorter path.",
            )


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which PM2 runs: what it and the list of apps need, no more."""
    kept = {name: environ[name] for name in _PASSED_ON if environ.get(name)}
    kept["PM2_DISABLE_VERSION_CHECK"] = "1"  # it would ask the network
    kept["PM2_CONCURRENT_ACTIONS"] = "32"  # the default of 2 makes a start a queue
    if node := environ.get("BATON_NODE"):
        kept["PATH"] = f"{node}{os.pathsep}{kept.get('PATH', '')}"
    return kept


def parse_list(printed: str) -> list[dict[str, Any]]:
    """Return the list in what `pm2 jlist` printed, whatever banners stand around it."""
    for line in printed.splitlines():
        if not line.startswith("["):
            continue
        try:
            found = json.loads(line)
        except ValueError:  # a banner: "[PM2] Spawning PM2 daemon"
            continue
        if isinstance(found, list):
            return found
    raise CliError("PM2 printed no list of its apps.", "`pm2 jlist` shows what it prints instead.")


def _process(entry: dict[str, Any]) -> Process:
    about = entry.get("pm2_env") or {}
    env = about.get("env") or {}
    return Process(
        name=str(entry.get("name", "")),
        pid=int(entry.get("pid") or 0),
        status=str(about.get("status", "")),
        cwd=str(about.get("pm_cwd", "")),
        env={name: str(value) for name, value in env.items()},
        restarts=int(about.get("restart_time") or 0),
        started_ms=int(about.get("pm_uptime") or 0),
        memory_bytes=int((entry.get("monit") or {}).get("memory") or 0),
        exit_code=about.get("exit_code"),
    )
