"""A watchdog outside is told of starts, ends and of an instance that is well: by what is durable, whoever is killed."""

from __future__ import annotations

import pytest

from durable.records import Entry, Lease, State, Submission
from tests.conftest import wait_until
from tests.integration.alert_site import AlertSite
from tests.integration.conftest import SiteOf
from tests.integration.web_server import Asked, Reply, WebServer

SOURCE = "schedule:nightly"


@pytest.fixture
def pinged(alert_site: SiteOf, web: WebServer) -> AlertSite:
    """An instance whose schedule pings /ping/key, with one tick from before."""
    for end in ("", "/start", "/fail"):
        web.replies[f"/ping/key{end}"] = Reply(b"OK")
    nightly = {"every": "1h", "prompt": "Go", "ping_url": "${PING}"}
    site = alert_site(schedules={"nightly": nightly})
    site.hook(f"{web.url}/hook/secret", f"PING={web.url}/ping/key")
    settle(site, tick(site, "before"), State.FAILED)
    site.begin()
    wait_until(lambda: site.store.client.hget("{baton}:alerts:pings", "nightly"))
    return site


def tick(site: AlertSite, task_id: str) -> Lease:
    """A tick whose task a consumer has begun."""
    task = Submission(id=task_id, body=b"{}", source=SOURCE)
    entry = Entry(journal=SOURCE, what="run", about="T", place=1)
    site.store.submit([task], None, [entry])
    lease = site.store.claim("test", task_id, ("default",), 30_000)
    assert isinstance(lease, Lease)
    return lease


def settle(site: AlertSite, lease: Lease, state: State) -> None:
    site.store.settle(lease, state, outcome="denied" if state is State.FAILED else "", reason="why")


def pings(web: WebServer) -> list[str]:
    return [asked.path for asked in list(web.asked) if asked.path.startswith("/ping/")]


def test_a_tick_pings_when_its_task_starts_and_when_it_has_succeeded(
    pinged: AlertSite, web: WebServer
) -> None:
    lease = tick(pinged, "a")
    wait_until(lambda: pings(web) == ["/ping/key/start"])
    settle(pinged, lease, State.SUCCEEDED)
    wait_until(lambda: pings(web) == ["/ping/key/start", "/ping/key"])
    assert {asked.method for asked in web.asked if asked.path.startswith("/ping/")} == {"GET"}
    assert "/ping/key" not in pinged.log("alerts").read_text()


@pytest.mark.parametrize("state", [State.FAILED, State.HELD])
def test_a_tick_that_fails_or_is_held_says_so_with_the_reason(
    state: State, pinged: AlertSite, web: WebServer
) -> None:
    settle(pinged, tick(pinged, "a"), state)
    wait_until(lambda: "/ping/key/fail" in pings(web))
    last = next(asked for asked in web.asked if asked.path == "/ping/key/fail")
    assert last.method == "POST"
    assert f"task a is {state.value}".encode() in last.body
    assert pings(web) == ["/ping/key/start", "/ping/key/fail"]


def test_a_tick_that_is_skipped_pings_nothing(pinged: AlertSite, web: WebServer) -> None:
    first = tick(pinged, "a")
    wait_until(lambda: pings(web) == ["/ping/key/start"])
    skipped = Entry(journal=SOURCE, what="run", about="T2", place=1, alone=True)
    task = Submission(id="b", body=b"{}", source=SOURCE)
    pinged.store.submit([task], None, [skipped])
    settle(pinged, first, State.SUCCEEDED)
    wait_until(lambda: "/ping/key" in pings(web))
    settle(pinged, tick(pinged, "c"), State.SUCCEEDED)
    wait_until(lambda: pings(web) == ["/ping/key/start", "/ping/key"] * 2)


def test_what_happens_while_the_app_is_down_is_pinged_late(
    pinged: AlertSite, web: WebServer
) -> None:
    pinged.end_alerts()
    settle(pinged, tick(pinged, "a"), State.FAILED)
    settle(pinged, tick(pinged, "b"), State.SUCCEEDED)
    pinged.bear()
    wait_until(lambda: len(pings(web)) >= 4)
    assert pings(web) == ["/ping/key/start", "/ping/key/fail", "/ping/key/start", "/ping/key"]


def test_a_watchdog_that_does_not_answer_is_pinged_until_it_does(
    pinged: AlertSite, web: WebServer
) -> None:
    web.replies["/ping/key/start"] = Reply(status=503)
    settle(pinged, tick(pinged, "a"), State.SUCCEEDED)
    wait_until(lambda: pings(web).count("/ping/key/start") > 2)
    web.replies["/ping/key/start"] = Reply(b"OK")
    wait_until(lambda: "/ping/key" in pings(web))
    assert "ping_url of nightly" in pinged.log("alerts").read_text()


def test_the_instance_pings_while_all_is_well_and_says_why_not(
    alert_site: SiteOf, web: WebServer
) -> None:
    bodies: list[bytes] = []

    def fail(asked: Asked) -> Reply:
        bodies.append(asked.body)
        return Reply(b"OK")

    web.replies |= {"/ping/all?rid=1": Reply(b"OK"), "/ping/all/fail?rid=1": fail}
    site = alert_site(redis="embedded")
    config = {"consumers": 1, "ping_url": f"{web.url}/ping/all?rid=1"}
    site.configure(config)
    site.start("redis")
    site.bear()
    wait_until(lambda: bodies)
    assert bodies[0] == b"no consumer is at work"
    site.store.announce("a:b:c", "here", ["default"])
    wait_until(lambda: "/ping/all?rid=1" in pings(web))
    site.store.close_gate("claude:default", "login", by="x", why="")
    wait_until(lambda: b"the gate is closed for login" in bodies)
    site.store.open_gate("login")
    site.store.close_gate("claude:default", "usage limit", by="x", why="")
    web.asked.clear()
    wait_until(lambda: pings(web))
    assert pings(web)[-1] == "/ping/all?rid=1"
    site.kill("redis")
    wait_until(lambda: bodies[-1].startswith(b"Redis does not answer"))
