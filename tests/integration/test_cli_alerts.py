"""`./baton alerts`: what is open and what was told, and whether the channel works."""

from __future__ import annotations

import json

from tests.conftest import wait_until
from tests.integration.alert_site import HOOK
from tests.integration.conftest import SiteOf
from tests.integration.test_cli_verbs import baton, facts
from tests.integration.web_server import Reply, WebServer


def test_a_person_sees_what_is_open_and_what_became_of_what_was_told(
    alert_site: SiteOf, web: WebServer
) -> None:
    site = alert_site()
    assert "No alerts app is at work" in baton(site, "alerts")
    site.begin()
    site.end("bad")
    site.quiet(1)
    web.replies[HOOK] = Reply(status=500)
    site.store.close_gate("claude:other", "login", by="me", why="expired")
    wait_until(lambda: site.store.client.llen("{baton}:alerts:sent") == 2)
    said = facts(site, "alerts")
    assert said["watch"]["now"]
    assert [one["kind"] for one in said["open"]] == ["failed", "gate"]
    assert [one["kind"] for one in said["waiting"]] == ["gate"]
    outcomes = [one["outcome"] for one in said["sent"]]
    assert outcomes[1] == "delivered"
    assert outcomes[0].startswith("failed, to be tried again: http://127.0.0.1/… answered 500")
    printed = baton(site, "alerts")
    assert "1 to be sent." in printed
    assert "gate:login" in printed
    assert "secret" not in printed + json.dumps(said)


def test_a_person_sends_a_message_to_see_whether_it_arrives(
    alert_site: SiteOf, web: WebServer
) -> None:
    site = alert_site()
    assert "Delivered" in baton(site, "alerts", "--test")
    assert facts(site, "alerts", "--test")["outcome"] == "delivered"
    assert [one["state"] for one in site.told()] == ["test", "test"]
    assert site.told()[0]["text"] == "baton: this is a test: alerts arrive"
    web.replies[HOOK] = Reply(status=404)
    assert "answered 404" in baton(site, "alerts", "--test", status=1)
    site.hook("")
    assert "HOOK has no value" in baton(site, "alerts", "--test", status=1)
    site.configure({"consumers": 1, "redis": site.settings.redis.url})
    assert "No alerts are configured" in baton(site, "alerts", "--test", status=1)
    assert "No alerts are configured" in baton(site, "alerts")
