"""Leaves an instance in mid-work: tasks in every state, a chord half full, locks, a closed gate, producers killed.

Runs inside an earlier checkout (see record.py), so it uses only what that one has; it is no test. The parts that a
newer version has to understand are made by the real processes where a kill leaves them: a watcher, a poller, a
scheduler, and a consumer whose Claude attempt comes to its end without it.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from huey.api import chord

from durable.identity import host_id
from durable.records import Lease, State, Submission
from tests.conftest import wait_until
from tests.site import Site

FOLDER, OUT = Path(sys.argv[1]), Path(sys.argv[2])

MY_TASKS = '''"""The tasks of the scene: each writes a line when it has run."""

from pathlib import Path

from tasks import config, cron, huey


def note(word):
    with Path(config.base, "done.txt").open("a") as out:
        out.write(f"{word}\\n")
    return word


@huey.task()
def write(word, *earlier):
    return note(word)


@huey.task()
def tick(*told):
    return note("tick")


@huey.task()
def join(words):
    return note("+".join(words))


@huey.task(retries=2)
def shaky(word):
    if not Path(config.base, "steady").exists():
        raise RuntimeError("not yet")
    return note(word)


@huey.periodic_task(cron("* * * * *"))
def own():
    return note("own tick")
'''
CLAUDE = """#!/bin/sh
cat >> prompts.txt
while [ -e hold ]; do sleep 0.1; done
cat stream.jsonl
"""
CONFIG: dict[str, Any] = {
    "consumers": 2,
    "keep_finished": "3650d",
    "keys_kept": "3650d",
    "timezone": "UTC",
    "tasks": ["my_tasks"],
    "claude": {"command": "@SITE@/claude", "max_budget_usd": 2},
    "budget_usd_per_day": 20,
    "watchers": {
        "inbox": {
            "path": "Inbox",
            "done": "Done",
            "failed": "Failed",
            "settle": 0,
            "prompt": "Read {{ name }}.",
            "result": "Done/{{ name }}.txt",
        }
    },
    "pollers": {
        "feed": {"every": "1m", "command": "cat items.jsonl", "prompt": "Do {{ item.id }}."}
    },
    "schedules": {"minutely": {"cron": "* * * * *", "task": "tick"}},
}
ODD = "100% {{ odd }}\nname.md"


def furnish() -> Site:
    """The folder, and its Redis."""
    (FOLDER / "my_tasks.py").write_text(MY_TASKS)
    (FOLDER / "claude").write_text(CLAUDE)
    (FOLDER / "claude").chmod(0o755)
    (FOLDER / "stream.jsonl").write_text(Path("tests/data/streams/success.jsonl").read_text())
    (FOLDER / "items.jsonl").write_text('{"id": "one"}\n{"id": "two"}\n')
    (FOLDER / "home" / ".claude").mkdir(parents=True)
    (FOLDER / "home" / ".claude" / ".credentials.json").touch(mode=0o600)
    (FOLDER / "Inbox").mkdir()
    site = Site(FOLDER, json.loads(json.dumps(CONFIG).replace("@SITE@", str(FOLDER))))
    site.start("redis")
    return site


def produce(site: Site) -> None:
    """Two files, two items and a tick come in; then all producers are killed."""
    for role, name in (("watch", "inbox"), ("poll", "feed"), ("scheduler", "")):
        site.start(role, name)
    for name in ("plain.md", ODD):
        (FOLDER / "Inbox" / name).write_text("a file of the scene\n")
    wanted = {
        "watcher:inbox": 2,
        "poller:feed": 2,
        "schedule:minutely": 1,
        "schedule:my_tasks.own": 1,
    }

    def done() -> bool:
        counts = site.store.counts_by_source()
        return all(sum(counts.get(s, {}).values()) >= n for s, n in wanted.items())

    wait_until(done, 90)
    for label in ("watch-inbox", "poll-feed", "scheduler"):
        site.kill(label)


def work(site: Site, ids: dict[str, str]) -> None:
    """A consumer is killed while claude runs; claude comes to its end, and nobody says so."""
    import tasks

    (FOLDER / "hold").touch()
    task = tasks.claude("Say hello.", priority=100)
    ids["claude ended"] = task.id
    site.start("consumer", "1")
    prompts = FOLDER / "prompts.txt"
    wait_until(prompts.exists)
    site.kill("consumer-1")
    (FOLDER / "hold").unlink()
    wait_until((FOLDER / "var" / "attempts" / task.id / "1" / "exit.json").exists)


def claim(site: Site, nonce: str, task_id: str) -> Lease:
    """A lease of a consumer that nobody will hear of again."""
    site.store.hasten(task_id)
    found = site.store.claim("gone:gone:consumer-9", nonce, ["default"], 30_000)
    assert isinstance(found, Lease), found
    assert found.id == task_id, "something else was first"
    return found


def run(site: Site, lease: Lease) -> None:
    """One attempt, written down."""
    import tasks

    logging.getLogger("huey").setLevel(logging.CRITICAL)  # what fails here is meant to
    assert tasks.huey.attempt(lease).settle(site.store)


def enqueue(site: Site, ids: dict[str, str]) -> None:
    """Tasks in every state; `ids` takes their names."""
    import my_tasks  # type: ignore[import-not-found]  # which furnish() has written

    import tasks

    store, huey = site.store, tasks.huey

    def put(name: str, task: Any, **more: Any) -> str:
        huey.enqueue(task, **more)
        ids[name] = task.id
        return ids[name]

    def at(name: str, word: str, **more: Any) -> str:
        return put(name, my_tasks.write.s(word, priority=90), **more)

    run(site, claim(site, "n1", at("succeeded", "succeeded", key="a key")))
    for number in range(3):  # its retries are used up
        found = (
            put("failed", my_tasks.shaky.s("failed", priority=90)) if not number else ids["failed"]
        )
        run(site, claim(site, f"f{number}", found))
    store.cancel(at("cancelled", "cancelled"))
    store.hold(at("held", "held"), "a person wanted to look")
    claim(site, "n2", at("running", "running"))
    claim(site, "n3", at("to be cancelled", "to be cancelled"))
    store.cancel(ids["to be cancelled"])
    claim(site, "n4", at("lock held", "lock 1", lock="repo"))
    at("lock waits", "lock 2", lock="repo")
    at("lock waits too", "lock 3", lock="repo")
    run(site, claim(site, "n5", put("retrying", my_tasks.shaky.s("retried", priority=90))))
    half = chord([my_tasks.write.s("m1", priority=91), my_tasks.write.s("m2")], my_tasks.join.s())
    huey.enqueue(half)
    first = huey.store.page(State.QUEUED, 1)[0]
    run(site, claim(site, "n6", first.id))
    put("pipeline", my_tasks.write.s("stage 1").then(my_tasks.write, "and stage 2"))
    put("later", my_tasks.write.s("later", delay=3600))
    put("revoked", my_tasks.write.s("revoked"))
    huey.revoke_by_id(ids["revoked"])
    at("queued", "queued")
    store.submit([Submission(id="foreign", body=b"no message at all")])
    put("stranger", huey.task(name="gone")(str).s())


def close_gate(site: Site) -> None:
    """A pause, and a limit whose time will be over."""
    store = site.store
    store.close_gate("all", "pause", by="somebody", why="an upgrade")
    store.close_gate(
        "claude:default", "usage limit", by="", why="the limit", until_ms=store.now_ms() + 1000
    )


def values_of(client: Any) -> dict[str, list[Any]]:
    """Every key as its kind and its value, in text; times to live are left out."""
    read = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"set": lambda key: sorted(client.smembers(key)),
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        b"list": lambda key: client.lrange(key, 0, -1),
        b"stream": lambda key: [[i, f] for i, f in client.xrange(key)][-20:],
    }
    keys = sorted(client.keys())
    return {
        _text(key): [_text(client.type(key)), _text(read[client.type(key)](key))] for key in keys
    }


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, dict):
        return {_text(k): _text(v) for k, v in value.items()}
    return [_text(v) for v in value] if isinstance(value, list | tuple) else value


def files_of(folder: Path) -> dict[str, str]:
    """What lies in the folder, but for the server's data, logs and locks."""
    skipped = ("var/redis", "var/locks", "var/logs", "home/.cache")
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        left_out = name.startswith(skipped) or name.endswith((".log", ".lock", ".pyc"))
        if path.is_file() and not path.is_symlink() and not left_out:
            found[name] = path.read_text()
    return found


def main() -> None:
    """Play it, and write what is left without the names of the places where it was played."""
    os.environ |= {
        "BATON_CONFIG": str(FOLDER / "baton.yaml"),
        "BATON_VAR": str(FOLDER / "var"),
        "HOME": str(FOLDER / "home"),
    }
    sys.path.insert(0, str(FOLDER))
    site, ids = furnish(), dict[str, str]()
    places = {str(site.settings.run_dir): "@SITE@/run", str(FOLDER): "@SITE@"}
    places |= {
        str(Path(__file__).resolve().parent): "@SITE@/code",
        f"{gettempdir()}/baton-": "@SITE@/baton-",
    }
    places |= {sys.prefix: "/venv", host_id(): "recorded-host"}
    try:
        produce(site)
        work(site, ids)
        enqueue(site, ids)
        close_gate(site)
        left = {"ids": ids, "redis": values_of(site.store.client), "files": files_of(FOLDER)}
    finally:
        site.close()
    text = json.dumps(left, indent=1, ensure_ascii=True)
    for place, word in places.items():
        text = text.replace(place, word)
    OUT.write_text(text + "\n")


main()
