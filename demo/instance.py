"""A complete private instance of Baton in a folder of its own: own PM2, own Redis, own HOME, a stand-in for the API."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

_YAML = """\
instance: demo
consumers: 1
claude:
  allowed_tools: [Read, Glob, Grep, Bash]
  env: [ANTHROPIC_API_KEY, ANTHROPIC_BASE_URL, CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC]
watchers:
  inbox:
    path: Inbox
    done: Done
    failed: Failed
    prompt: "Read the file {{ path }} and summarise it for a busy reader."
    result: "Done/{{ name }}.summary.md"
"""


class DemoError(Exception):
    """A part of the demo did not start; the message holds what it said."""


class Instance:
    """Started by `start`, taken down whole by `stop`, whatever state it is in."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="baton-demo-")).resolve()
        self.inbox, self.done = self.folder / "Inbox", self.folder / "Done"
        self.var = self.folder / "var"
        self._standin: subprocess.Popen[bytes] | None = None
        for sub in ("Inbox", "home"):
            (self.folder / sub).mkdir()

    def start(self) -> None:
        """The stand-in, then everything else as `./baton up` starts it. Raises DemoError."""
        port = self._start_standin()
        (self.folder / "baton.yaml").write_text(_YAML)
        secrets = self.folder / ".env"
        secrets.write_text(
            f"ANTHROPIC_BASE_URL=http://127.0.0.1:{port}\n"
            "ANTHROPIC_API_KEY=stand-in\nCLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1\n"
        )
        secrets.chmod(0o600)
        self.baton("up")

    def stop(self) -> None:
        """Every process that `start` began, then the folder."""
        if (self.folder / "baton.yaml").exists():
            self._try("down")
        self._end_pm2()
        if self._standin is not None:
            self._standin.terminate()
            self._standin.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)

    def baton(self, *words: str) -> str:
        """One verb of the command line on this instance; what it printed. Raises DemoError."""
        done: subprocess.CompletedProcess[str] = subprocess.run(
            [sys.executable, "-P", "-m", "cli", *words],
            **self._surroundings(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise DemoError(f"./baton {words[0]} said:\n{done.stdout}{done.stderr}")
        return done.stdout

    def environment(self) -> dict[str, str]:
        """What its processes see: nothing of the caller's but where programs and languages are."""
        kept = ("PATH", "LANG", "LC_ALL", "TZ", "TERM", "BATON_NODE", "BATON_PYTHON")
        return {name: os.environ[name] for name in kept if name in os.environ} | {
            "HOME": str(self.folder / "home"),
            "PM2_HOME": str(self.folder / "pm2"),
            "BATON_CONFIG": str(self.folder / "baton.yaml"),
            "BATON_VAR": str(self.var),
        }

    def _surroundings(self) -> dict[str, Any]:
        # A session of its own: Ctrl-C is for the demo, which then takes the instance down in order.
        return {
            "cwd": ROOT,
            "env": self.environment(),
            "stdin": subprocess.DEVNULL,
            "start_new_session": True,
        }

    def _start_standin(self) -> int:
        announced = self.folder / "stand-in.json"
        with (self.folder / "stand-in.log").open("wb") as log:
            self._standin = subprocess.Popen(
                [sys.executable, "-P", "-m", "demo.standin", "--announce", str(announced)],
                **self._surroundings(),
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + 15
        while not announced.exists():
            if self._standin.poll() is not None or time.monotonic() > until:
                said = (self.folder / "stand-in.log").read_text()
                raise DemoError(f"the stand-in for the API did not start: {said}")
            time.sleep(0.02)
        return int(json.loads(announced.read_text())["port"])

    def _end_pm2(self) -> None:
        from cli.pm2 import Pm2

        Pm2(ROOT, self.environment()).end_daemon()

    def _try(self, verb: str) -> None:
        try:
            self.baton(verb)
        except DemoError as error:
            print(error, file=sys.stderr)
