"""What earlier versions left behind comes to its end under this one: see data/upgrades/record.py.

And two versions at once on one queue: this code, and a copy of it that writes messages of the next version.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from durable.records import State
from durable.versions import FORMAT
from tests.conftest import ROOT, wait_until
from tests.integration.test_cli_verbs import baton
from tests.site import Site

RECORDED = sorted((ROOT / "tests" / "data" / "upgrades").glob("*.json"))
#: Leases that end after 3 s, so that those of the recorded owners are over soon.
QUICK = {"BATON_LEASE_SCALE": "0.1"}
#: What the tasks that had not ended write, each once.
OWED = ["running", "held", "retried", "m2", "m1+m2", "stage 1", "and stage 2", "later", "queued"]
LOCKED = ["lock 1", "lock 2", "lock 3"]


class Left:
    """A folder and a Redis as an earlier version has left them."""

    def __init__(self, recorded: Path, folder: Path) -> None:
        self.folder = folder
        said: dict[str, Any] = json.loads(recorded.read_text().replace("@SITE@", str(folder)))
        self.ids: dict[str, str] = said["ids"]
        for name, text in said["files"].items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        (folder / "claude").chmod(0o755)
        self.site = Site(folder, yaml.safe_load(said["files"]["baton.yaml"]), QUICK)
        self.site.start("redis")
        for key, (kind, value) in said["redis"].items():
            self._put(key, kind, value)

    def _put(self, key: str, kind: str, value: Any) -> None:
        client: Any = self.site.store.client
        if kind == "hash":
            client.hset(key, mapping=value)
        elif kind == "zset":
            client.zadd(key, {member: float(score) for member, score in value})
        elif kind == "stream":
            for number, fields in value:
                client.xadd(key, fields, id=number)
        else:
            {"string": client.set, "set": client.sadd, "list": client.rpush}[kind](
                key, *([value] if kind == "string" else value)
            )

    def state(self, name: str) -> State:
        record = self.site.store.record(self.ids[name])
        assert record
        return record.state

    def written(self) -> Counter[str]:
        """What tasks have written, with that of the time before."""
        return Counter((self.folder / "done.txt").read_text().splitlines())

    def told(self, prompt: str) -> int:
        """How often claude was told this, then and now."""
        return (self.folder / "prompts.txt").read_text().count(prompt)


@pytest.fixture(params=RECORDED, ids=lambda path: path.stem)
def left(request: pytest.FixtureRequest, short_tmp: Path) -> Iterator[Left]:
    found = Left(request.param, short_tmp)
    yield found
    found.site.close()


def start_all(site: Site) -> None:
    for role, name in (("consumer", "1"), ("consumer", "2"), ("watch", "inbox"), ("poll", "feed")):
        site.start(role, name)
    site.start("scheduler")


def test_what_an_earlier_version_left_comes_to_its_end(left: Left) -> None:
    site, store = left.site, left.site.store
    (left.folder / "steady").touch()
    with (left.folder / "items.jsonl").open("a") as items:
        items.write('{"id": "three"}\n')
    start_all(site)
    assert store.dataset("", 0)[1] == FORMAT
    wait_until(lambda: left.state("running") is State.QUEUED, what="lost leases are given back")
    assert left.written()["queued"] == 0, "the pause of the time before still holds"
    store.requeue(left.ids["held"])
    store.hasten(left.ids["later"])
    store.open_gate("pause")

    def done() -> bool:
        counts = store.counts()
        live = (State.QUEUED, State.RUNNING, State.SCHEDULED)
        return not any(counts[s] for s in live) and left.told("Do three.") == 1

    wait_until(done, 60, "nothing is left to do")
    for file in ("plain.md", "100% {{ odd }}\nname.md"):
        wait_until((left.folder / "Done" / file).exists, what=f"{file} is put away")
    assert (left.folder / "Done" / "plain.md.txt").exists()

    written = left.written()
    assert {word: written[word] for word in OWED + LOCKED} == dict.fromkeys(OWED + LOCKED, 1)
    assert (written["revoked"], written["cancelled"], written["to be cancelled"]) == (0, 0, 0)
    assert written["tick"] >= 1
    lines = (left.folder / "done.txt").read_text().splitlines()
    assert [line for line in lines if line in LOCKED] == LOCKED
    told = ("Say hello.", "Do one.", "Do two.", "Do three.", "Read plain.md.")
    assert {word: left.told(word) for word in told} == dict.fromkeys(told, 1)

    ended = {name: left.state(name).value for name in left.ids}
    others = {"failed": "failed", "cancelled": "cancelled", "to be cancelled": "cancelled"}
    others |= {"revoked": "cancelled", "stranger": "held"}
    assert ended == dict.fromkeys(left.ids, "succeeded") | others
    foreign = store.record("foreign")
    assert foreign
    assert (foreign.state, foreign.outcome) == (State.FAILED, "rejected")
    claude = store.record(left.ids["claude ended"])
    assert claude
    assert claude.cost_usd > 0

    assert store.gate() == []
    again = site.python(
        "import tasks; tasks.load_user_tasks(); import my_tasks;"
        "print(tasks.huey.enqueue(my_tasks.write.s('x'), key='a key').id)"
    )
    assert again.strip() == left.ids["succeeded"], "what was done then is not done again"
    for journal, count in (("schedule:minutely", 2), ("poller:feed", 3), ("watcher:inbox", 2)):
        assert len(store.journal(journal)) >= count
    for key in ("chords", "locks", "waiting", "leases", "reserved", "queues"):
        assert not store.client.exists(store.prefix + key), key


@pytest.fixture
def next_version(short_tmp: Path) -> Path:
    """A copy of this code that writes messages of the next version."""
    copy = short_tmp / "next"
    copy.mkdir()
    for name in ("durable", "consumers", "producers", "settings", "cli"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("app.py", "tasks.py"):
        shutil.copy(ROOT / name, copy / name)
    file = copy / "durable" / "versions.py"
    changed = file.read_text().replace("MESSAGE = 1", "MESSAGE = 2")
    assert changed != file.read_text()
    file.write_text(changed)
    return copy


TASKS = """
from pathlib import Path
from durable.versions import MESSAGE
from tasks import config, huey

@huey.task()
def write(word):
    with Path(config.base, "done.txt").open("a") as out:
        out.write(f"{word} by {MESSAGE}\\n")
"""


class Rolling(Site):
    """An instance of which a part is of the next version already."""

    next: Path

    def put(self, word: str, root: Path = ROOT) -> str:
        """A task that the version in `root` makes; its id."""
        code = f"import tasks; tasks.load_user_tasks(); import my_tasks; print(my_tasks.write({word!r}).id)"
        said = subprocess.run(
            [sys.executable, "-c", code], cwd=root, env=self.env, capture_output=True, text=True
        )
        assert said.returncode == 0, said.stderr
        return said.stdout.strip()

    def start_next(self, name: str) -> None:
        """A consumer of the next version."""
        log = self.log(f"consumer-{name}")
        with log.open("ab") as out:
            self.processes[f"consumer-{name}"] = subprocess.Popen(
                [sys.executable, str(self.next / "app.py"), "consumer", name],
                env=self.env,
                cwd=self.next,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        wait_until(lambda: ": ready" in log.read_text(), what=f"consumer {name} is ready")

    def written(self) -> list[str]:
        file = self.folder / "done.txt"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def rolling(short_tmp: Path, next_version: Path) -> Iterator[Rolling]:
    (short_tmp / "my_tasks.py").write_text(TASKS)
    own = Rolling(short_tmp, {"consumers": 2, "tasks": ["my_tasks"]})
    own.next = next_version
    own.start("redis")
    yield own
    own.close()


def test_while_machines_are_upgraded_one_by_one_each_task_finds_its_consumer(
    rolling: Rolling,
) -> None:
    rolling.start("consumer", "1")
    new = rolling.put("new", rolling.next)
    old = rolling.put("old")
    rolling.wait_for(old, State.SUCCEEDED)
    assert [r.id for r in rolling.store.page(State.QUEUED)] == [new]
    assert "made by a newer Baton (version 2)" in baton(rolling, "why", new)
    assert "upgrade this machine" in baton(rolling, "show", new)
    assert "waiting for its consumers: 1" in baton(rolling, "status")
    rolling.start_next("2")
    rolling.wait_for(new, State.SUCCEEDED)
    rolling.stop("consumer-1")
    rolling.wait_for(rolling.put("old again"), State.SUCCEEDED)
    assert rolling.written() == ["old by 1", "new by 2", "old again by 2"]


def test_a_program_on_data_of_a_newer_format_says_what_to_do_and_does_not_start(
    rolling: Rolling,
) -> None:
    store = rolling.store
    rolling.start("consumer", "1")
    store.client.hset(f"{store.prefix}dataset", "format", FORMAT + 1)
    second = rolling.launch("consumer", "2")
    assert second.wait(30) == os.EX_CONFIG
    logs = [rolling.log(label) for label in ("consumer-1", "consumer-2")]
    wait_until(lambda: all("newer Baton" in log.read_text() for log in logs), what="both say so")
    assert rolling.processes["consumer-1"].poll() is None, "it waits for its upgrade"
    assert "newer Baton" in baton(rolling, "add", "x", status=1)
