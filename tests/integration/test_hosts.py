"""Two machines on one Redis, played by two state folders: whose files are whose, who put a task in, and who is told."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from durable import identity
from durable.records import Record, State
from tests.conftest import ROOT, PrivateServer, wait_until
from tests.site import Site

MODULE = """
from tasks import config, huey

@huey.task()
def where(path):
    return config.host
"""


class Pair:
    """Two machines, hut and barn, on one server."""

    def __init__(self, folder: Path, url: str) -> None:
        self.inbox, self.done = folder / "Inbox", folder / "Done"
        self.inbox.mkdir()
        self.sites = {name: self._site(folder / name, name, url) for name in ("hut", "barn")}
        self.hut, self.barn = self.sites.values()

    def _site(self, folder: Path, name: str, url: str) -> Site:
        folder.mkdir()
        (folder / "my_tasks.py").write_text(MODULE)
        return Site(folder, self.config(name), {"REDIS_URL": url, identity.PRETEND: f"{name}-id"})

    def config(self, name: str, **more: Any) -> dict[str, Any]:
        """The baton.yaml of one of them, with more in its watcher."""
        folders = {"path": str(self.inbox), "done": str(self.done)}
        inbox = {**folders, "task": "my_tasks.where", "settle": 0, **more}
        return {"host": name, "consumers": 1, "tasks": ["my_tasks"], "watchers": {"inbox": inbox}}

    def drop(self, name: str) -> None:
        (self.inbox / name).write_text("x")

    def task(self) -> Record:
        """The one task that there is."""

        def records() -> list[Record]:
            return [r for state in State for r in self.hut.store.page(state)]

        wait_until(records, what="the drop is a task")
        [found] = records()
        return found

    def close(self) -> None:
        for site in self.sites.values():
            site.close()


@pytest.fixture
def pair(valkey: PrivateServer, short_tmp: Path) -> Iterator[Pair]:
    made = Pair(short_tmp, valkey.url)
    with contextlib.closing(made):
        yield made


def baton(site: Site, *words: str) -> str:
    """What a person reads who types this on that machine."""
    env = site.env | {"PYTHONPATH": str(ROOT), "PM2_HOME": str(site.folder)}
    command = [sys.executable, "-P", "-m", "cli", *words]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_file_of_one_machine_waits_for_that_machine_and_says_so(pair: Pair) -> None:
    pair.hut.start("watch", "inbox")
    pair.barn.start("consumer", "1")
    pair.drop("a.txt")
    waits = pair.task()
    missing = json.loads(baton(pair.barn, "status", "--json"))["missing"]
    assert "1 task waits in host:hut, which no consumer serves." in [n["problem"] for n in missing]
    assert "start Baton on hut" in baton(pair.barn, "why", waits.id)
    pair.hut.start("consumer", "1")
    ended = pair.hut.wait_for(waits.id, State.SUCCEEDED)
    assert pair.barn.python(f"from tasks import huey; print(huey.result('{waits.id}'))") == "hut\n"
    assert (ended.queue, ended.by) == ("host:hut", f"{pwd.getpwuid(os.getuid()).pw_name}@hut")
    assert f"by         {ended.by}" in baton(pair.barn, "show", waits.id)
    shown = baton(pair.barn, "status")
    assert "on hut: 1 consumer, of default, host:hut" in shown
    assert "no consumer serves" not in shown


def test_a_file_of_a_shared_folder_is_anybody_s(pair: Pair) -> None:
    pair.hut.configure(pair.config("hut", shared=True))
    pair.hut.start("watch", "inbox")
    pair.barn.start("consumer", "1")
    pair.drop("a.txt")
    ended = pair.hut.wait_for(pair.task().id, State.SUCCEEDED)
    assert ended.queue == "default"
    assert ended.by.endswith("@hut"), "it came in there, and ran here"
    assert pair.barn.python(f"from tasks import huey; print(huey.result('{ended.id}'))") == "barn\n"


def test_an_app_remembers_what_its_machine_is_called(pair: Pair) -> None:
    pair.hut.start("consumer", "1")
    text = (pair.hut.folder / "baton.yaml").read_text().replace("host: hut\n", "")
    (pair.hut.folder / "baton.yaml").write_text(text)
    assert pair.hut.settings.host == "hut"


def test_a_consumer_that_stops_serves_nothing_at_once(pair: Pair) -> None:
    pair.hut.start("consumer", "1")
    assert [one.host for one in pair.hut.store.consumers()] == ["hut"]
    pair.hut.stop("consumer-1")
    assert pair.hut.store.consumers() == []
