"""The alerts app against a real server and a real webhook: who is told of what, and how often."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from durable.identity import owner
from durable.problems import Problems
from durable.records import Entry, Lease, State, Submission
from tests.conftest import wait_until
from tests.integration.alert_site import HOOK
from tests.integration.conftest import SiteOf
from tests.integration.web_server import Asked, Reply, WebServer

SCHEDULE = {"nightly": {"every": "1h", "prompt": "Go"}}


def test_a_failed_and_a_held_task_are_told_once_and_when_they_are_so_no_longer(
    alert_site: SiteOf,
) -> None:
    site = alert_site()
    site.begin()
    site.end("bad")
    site.end("wait", State.HELD, "watcher:inbox")
    wait_until(lambda: len(site.told()) == 2)
    for task_id in ("bad", "wait"):
        site.store.requeue(task_id)
    wait_until(lambda: len(site.told()) == 4)
    assert site.of("failed") == site.of("held") == ["opened", "over"]
    first = next(one for one in site.told() if one["kind"] == "failed")
    assert first["text"] == "baton: a task of cli failed: denied: no Bash (bad)"
    assert first["tasks"] == [{"id": "bad", "outcome": "denied", "reason": "no Bash"}]
    assert site.web.asked[0].headers["content-type"] == "application/json"
    assert "secret" not in site.log("alerts").read_text()


def test_what_happens_while_the_app_is_down_is_told_when_it_is_back(alert_site: SiteOf) -> None:
    site = alert_site()
    site.begin()
    site.end_alerts()
    site.end("bad")
    store = site.store
    store.requeue("bad")  # nothing in the records shows any more that it had failed
    lease = store.claim("test", "again", ("default",), 30_000)
    assert isinstance(lease, Lease)
    store.settle(lease, State.SUCCEEDED, outcome="succeeded")
    site.bear()
    wait_until(lambda: site.of("failed") == ["opened", "over"])


def test_tasks_that_were_sent_back_and_fail_again_before_anything_was_told_are_told_twice(
    alert_site: SiteOf,
) -> None:
    site = alert_site()
    site.begin()
    site.end_alerts()
    for task_id in ("a", "b"):
        site.end(task_id)
    for task_id in ("a", "b"):
        site.store.requeue(task_id)
    lease = site.store.claim("test", "again", ("default",), 30_000)
    assert isinstance(lease, Lease)
    site.store.settle(lease, State.FAILED, outcome="denied", reason="no Bash")
    site.bear()
    wait_until(lambda: site.of("failed") == ["opened", "over", "opened"])
    assert [len(one["tasks"]) for one in site.told()] == [2, 0, 1]
    [incident] = site.store.client.hvals("{baton}:alerts:incidents")
    assert json.loads(incident)["text"] == "a task of cli failed: denied: no Bash (a)"


def test_nothing_that_stands_in_redis_ends_the_app(alert_site: SiteOf) -> None:
    site = alert_site(schedules=SCHEDULE)
    site.begin()
    site.end("a")
    site.quiet(1)
    site.end_alerts()
    client = site.store.client
    late = Entry(journal="schedule:nightly", what="late", about="T1", why="90 s after its time")
    site.store.submit([], None, [late])
    client.hset("{baton}:alerts:incidents", "failed|cli|odd", b"{")
    far = {"incident": "i", "state": "over", "kind": "gate", "subject": "", "text": "", "due_ms": 0}
    client.hset("{baton}:alerts:outbox", "1", json.dumps(far | {"seq": 1, "since_ms": 1 << 60}))
    client.hset("{baton}:problems", "poller:news|here", b"[")
    client.lpush("{baton}:alerts:news", b"no JSON")
    site.bear()
    wait_until(lambda: site.of("schedule") == ["opened"])
    client.lpush("{baton}:journal:schedule:nightly", b"[[")
    site.end("b", source="watcher:inbox")
    wait_until(
        lambda: site.named() == {"a", "b"} and len(site.of("process")) == 3, what=str(site.told())
    )
    texts = [one["text"] for one in site.told() if one["kind"] == "process"]
    for words in ("failed|cli|odd cannot be read", "no JSON", "late schedules cannot be looked at"):
        assert any(words in text for text in texts), words
    outcomes = [json.loads(line)["outcome"] for line in client.lrange("{baton}:alerts:sent", 0, -1)]
    assert any(outcome.startswith("given up: ") for outcome in outcomes)
    client.lpop("{baton}:journal:schedule:nightly")
    wait_until(lambda: site.of("process").count("over") == 1)
    assert site.log("alerts").read_text().count("Traceback") == 2


def test_the_gate_a_source_a_budget_and_late_ticks_are_told_and_when_they_are_over(
    alert_site: SiteOf,
) -> None:
    site = alert_site(budget_usd_per_day=1, schedules=SCHEDULE)
    site.begin()
    store = site.store
    problems = Problems(store.client, store.prefix, host="here")
    store.close_gate("all", "pause", by="me", why="lunch")
    problems.tell("poller:news", "https://example.com answered 500")
    store.client.hset("{baton}:spent", str(store.day()), "0.8")
    late = Entry(journal="schedule:nightly", what="late", about="T1", why="90 s after its time")
    store.submit([], None, [late])
    kinds = ("gate", "source", "budget", "schedule")
    wait_until(lambda: all(site.of(kind) == ["opened"] for kind in kinds), what=str(site.told()))
    store.open_gate("pause")
    problems.clear("poller:news")
    store.client.hset("{baton}:spent", str(store.day()), "0")
    store.submit([], None, [Entry(journal="schedule:nightly", what="run", about="T2")])
    wait_until(lambda: all(site.of(kind) == ["opened", "over"] for kind in kinds))
    texts = {one["kind"]: one["text"] for one in site.told() if one["state"] == "opened"}
    assert texts["gate"] == "baton: the gate is closed for all tasks, pause: lunch"
    assert texts["budget"] == "baton: 80 % of today's budget of 1 USD is spent"
    assert "poller:news on here: https://example.com answered 500" in texts["source"]


def test_tasks_that_no_consumer_takes_are_told(alert_site: SiteOf) -> None:
    site = alert_site(alerts={"waiting": "1ms"})
    site.begin()
    site.store.submit([Submission(id="a", body=b"{}", queue="gpu")])
    wait_until(lambda: site.of("queue") == ["opened"])
    site.quiet(1)
    site.end_alerts()
    site.bear()  # which does not know yet for how long it has been so
    site.store.close_gate("all", "pause", by="me", why="")
    wait_until(lambda: site.of("gate") == ["opened"])
    assert site.of("queue") == ["opened"]
    site.store.cancel("a")
    wait_until(lambda: site.of("queue") == ["opened", "over"])
    assert "1 task waits in the queue gpu" in site.told()[0]["text"]


def test_a_disk_that_is_nearly_full_is_told_and_stands_in_status(alert_site: SiteOf) -> None:
    alerts = {"webhook": "${HOOK}", "timeout": "2s"}
    site = alert_site(alerts={"disk_free": "90000TB"})
    site.begin()
    site.quiet(1)
    store = site.store
    [problem] = Problems(store.client, store.prefix).standing()
    assert "less than 9e+04TB is left on the disk of" in problem.text
    site.end_alerts()
    plenty = {"redis": site.settings.redis.url, "alerts": {**alerts, "disk_free": "1MB"}}
    site.configure(plenty)
    site.bear()
    wait_until(lambda: site.of("disk") == ["opened", "over"])


def test_an_app_that_is_down_and_a_tick_that_nobody_fires_are_told(alert_site: SiteOf) -> None:
    often = {"often": {"every": "1s", "task": "known", "overlap": "allow"}}
    site = alert_site(tasks=["my"], schedules=often, alerts={"after": "1s"})
    code = "from tasks import huey\n@huey.task()\ndef known(): pass\n"
    (site.folder / "my.py").write_text(code)
    site.start("scheduler")
    site.begin()
    wait_until(lambda: site.store.journal("schedule:often"))
    site.kill("scheduler")
    wait_until(lambda: "opened" in site.of("process") and "opened" in site.of("schedule"))
    site.start("scheduler")
    wait_until(lambda: site.of("process") == ["opened", "over"])
    wait_until(lambda: site.of("schedule").count("over") == site.of("schedule").count("opened"))
    texts = [one["text"] for one in site.told()]
    gone = "app:baton-scheduler", "it was killed and did not come back"
    assert any(all(part in text for part in gone) for text in texts)
    assert any("has not been fired: no scheduler is at work" in text for text in texts)


def test_redis_away_is_told_directly_and_once_whoever_is_killed_meanwhile(
    alert_site: SiteOf,
) -> None:
    site = alert_site(redis="embedded")
    site.start("redis")
    site.begin()
    site.kill("redis")
    wait_until(lambda: site.of("redis") == ["opened"])
    note = site.settings.var / "alerts" / "redis.json"
    wait_until(lambda: '"told":true' in note.read_text())
    site.end_alerts()
    site.bear()
    site.start("redis")
    wait_until(lambda: site.of("redis") == ["opened", "over"])
    first, last = [one for one in site.told() if one["kind"] == "redis"]
    assert first["incident"] == last["incident"]


def failing(answer: str, web: WebServer) -> Any:
    """What a webhook does that takes nothing, until it has another reply."""

    def drip() -> Iterator[bytes]:
        while web.replies[HOOK] is bad:
            time.sleep(0.1)
            yield b"x"

    def hang(asked: Asked) -> Reply:
        while web.replies[HOOK] is bad:
            time.sleep(0.05)
        return Reply(status=503)

    bad: Any = {"hangs": hang, "drips": Reply(status=503, drip=drip)}.get(answer, Reply(status=500))
    return bad


@pytest.mark.parametrize("answer", ["500", "hangs", "drips", "away"])
def test_a_webhook_that_fails_gets_everything_later_and_in_order(
    answer: str, alert_site: SiteOf, web: WebServer
) -> None:
    site = alert_site(alerts={"timeout": "300ms"})
    if answer == "away":
        site.hook(f"http://127.0.0.1:9{HOOK}")
    web.replies[HOOK] = failing(answer, web)
    site.begin()
    for number in range(3):
        site.end(f"t{number}")
        site.store.close_gate("claude:other", f"reason {number}", by="me", why="")
    log = site.log("alerts")
    wait_until(lambda: "trying again, nothing is lost" in log.read_text())
    if answer == "away":
        site.end_alerts(signal.SIGINT)
        site.hook(f"{web.url}{HOOK}")
        site.bear()
    web.asked.clear()
    web.replies[HOOK] = Reply(b"ok")
    wait_until(lambda: site.of("gate").count("opened") == 3 and len(site.named()) == 3)
    reasons = [one["subject"] for one in site.told() if one["kind"] == "gate"]
    assert list(dict.fromkeys(reasons)) == [f"gate:reason {number}" for number in range(3)]
    assert "secret" not in log.read_text()


def test_a_message_that_is_refused_for_what_it_is_does_not_hold_up_the_others(
    alert_site: SiteOf, web: WebServer
) -> None:
    def picky(asked: Asked) -> Reply:
        return Reply(status=400 if b'"kind":"failed"' in asked.body else 200)

    web.replies[HOOK] = picky
    site = alert_site()
    site.begin()
    site.end("bad")
    wait_until(lambda: site.of("failed"))
    site.store.close_gate("all", "pause", by="me", why="")
    wait_until(lambda: site.of("gate") == ["opened"])
    assert site.of("failed") == ["opened"] * 5


def test_a_command_gets_the_json_and_is_tried_again_until_it_takes_it(
    alert_site: SiteOf, short_tmp: Path
) -> None:
    script = (
        "import os, pathlib, sys; here = pathlib.Path(sys.argv[1]); text = sys.stdin.read();"
        "tries = here / 'tries'; tries.open('a').write('x');"
        "sys.exit(3) if len(tries.read_text()) < 3 else None;"
        "(here / 'new').write_text(text + str(sorted(os.environ)));"
        "(here / 'new').rename(here / 'told')"
    )
    command = ["python3", "-c", script, str(short_tmp)]
    site = alert_site()
    site.hook("", "TOKEN=t", "OTHER=o")
    alerts = {"command": command, "env": ["TOKEN"]}
    site.configure({"redis": site.settings.redis.url, "alerts": alerts})
    site.begin()
    site.end("bad")
    wait_until((short_tmp / "told").exists)
    text = (short_tmp / "told").read_text()
    assert json.JSONDecoder().raw_decode(text)[0]["kind"] == "failed"
    assert "TOKEN" in text
    assert "OTHER" not in text
    assert "ended with 3" in site.log("alerts").read_text()


def test_a_command_that_hangs_is_ended_with_all_that_it_started(
    alert_site: SiteOf, short_tmp: Path
) -> None:
    site = alert_site()
    script = f"sleep 1000 & echo $! >{short_tmp}/pid; wait"
    alerts = {"command": ["sh", "-c", script], "timeout": "500ms"}
    site.configure({"redis": site.settings.redis.url, "alerts": alerts})
    site.begin()
    site.end("bad")
    wait_until(lambda: "was not done after 0.5 s" in site.log("alerts").read_text())
    site.end_alerts()
    pid = int((short_tmp / "pid").read_text())
    wait_until(lambda: _has_ended(pid))


def _has_ended(pid: int) -> bool:
    """Gone, or a zombie where nobody reaps orphans."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return state.stdout.strip()[:1] in ("", "Z")


def test_of_two_hosts_one_tells_and_the_other_goes_on(alert_site: SiteOf) -> None:
    sites = [alert_site(), alert_site()]
    for one in sites:
        one.begin()
    store = sites[0].store
    for number in range(5):
        store.close_gate("claude:other", f"reason {number}", by="me", why="")
    sites[0].end("bad")
    sites[0].quiet(6)
    watching = store.client.hget("{baton}:alerts", "owner")
    [on_watch] = [
        one for one in sites if owner(one.settings.var, "baton-alerts").encode() == watching
    ]
    on_watch.end_alerts()
    store.open_gate("reason 0")
    wait_until(lambda: len(sites[0].told()) == 7)
    assert len({(one["incident"], one["state"]) for one in sites[0].told()}) == 7
