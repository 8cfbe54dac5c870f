"""The alerts app under a real PM2: there when it is asked for, and it tells of an app that goes round in circles."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.pm2_site import Pm2Site
from tests.conftest import wait_until
from tests.integration.web_server import Reply, WebServer, serving

CONFIG: dict[str, Any] = {"consumers": 0}


@pytest.fixture
def web() -> Iterator[WebServer]:
    with serving() as found:
        found.replies["/hook"] = Reply(b"ok")
        yield found


@pytest.fixture
def site(short_tmp: Path, web: WebServer) -> Iterator[Pm2Site]:
    made = Pm2Site(short_tmp, CONFIG | {"alerts": {"webhook": f"{web.url}/hook"}})
    yield made
    made.close()


def test_a_restart_loop_is_told_and_without_alerts_the_app_goes(
    site: Pm2Site, web: WebServer
) -> None:
    def of(kind: str) -> list[dict[str, Any]]:
        told = [json.loads(asked.body) for asked in list(web.asked)]
        return [one for one in told if one["kind"] == kind]

    site.facts("up")
    states = {row["name"]: row["state"] for row in site.facts("status")["apps"]}
    assert states == dict.fromkeys(("baton-redis", "baton-scheduler", "baton-alerts"), "ready")
    for _ in range(5):
        wait_until(lambda: site.ready("baton-scheduler"), what="PM2 has started it again")
        pid = site.ready("baton-scheduler")
        assert pid
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: site.ready("baton-scheduler") is None, what="it is gone")
    wait_until(lambda: of("process"), 40)
    assert "app:baton-scheduler" in of("process")[0]["text"]
    assert "a restart loop" in of("process")[0]["text"]
    assert site.call("pause", "lunch")[0] == 0
    wait_until(lambda: of("gate"))
    assert "./baton unpause" in of("gate")[0]["remedy"]
    site.configure(CONFIG)
    site.facts("up")
    assert "baton-alerts" not in site.pids()
