"""Killed at random and at the worst moments: each failure is told, and what is told twice says so itself."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable

import pytest

from tests.conftest import wait_until
from tests.integration.conftest import SiteOf

KILLS = 30


@pytest.mark.parametrize("hosts", [1, 2])
def test_every_failure_is_told_whoever_is_killed(
    hosts: int, alert_site: SiteOf, tell: Callable[[str], None]
) -> None:
    dice = random.Random(hosts)
    sites = [alert_site() for _ in range(hosts)]
    for site in sites:
        site.begin()
    ids: list[str] = []
    for _ in range(KILLS):
        for _ in range(dice.randrange(1, 6)):
            ids.append(f"t{len(ids)}")
            site.end(ids[-1], source=f"watcher:{len(ids) % 3}")
        time.sleep(dice.uniform(0.0, 0.1))  # into any moment of a look and of a delivery
        victim = dice.choice(sites)
        victim.end_alerts()
        victim.bear()
    wait_until(lambda: site.named() == set(ids), 30, what="each is told")
    for one in sites:
        one.end_alerts()
    messages = site.told()
    incidents: dict[str, set[str]] = {}
    for message in messages:
        said = json.dumps(message | {"sent": ""})
        incidents.setdefault(message["incident"], set()).add(said)
    # What is told twice is the same incident, in the same words.
    assert all(len(texts) == 1 for texts in incidents.values())
    once = [json.loads(texts.copy().pop()) for texts in incidents.values()]
    assert sorted(task["id"] for message in once for task in message["tasks"]) == sorted(ids)
    assert sum(message["count"] for message in once) == len(ids)
    repeated = len(messages) - len(once)
    tell(
        f"{KILLS} kills, hosts {hosts}: {len(ids)} failures in {len(once)} messages, "
        f"{repeated} of them sent twice, 0 lost"
    )


@pytest.mark.parametrize("point", ["counted", "begun", "sent"])
def test_a_kill_at_the_worst_moment_costs_a_repeat_at_most(point: str, alert_site: SiteOf) -> None:
    site = alert_site()
    site.begin()
    site.end_alerts()
    hook = (site.folder / ".env").read_text()
    (site.folder / ".env").write_text(f"{hook}BATON_FAULT=alerts:{point}\n")
    site.end("bad")
    site.bear()
    wait_until((site.settings.var / f"fault-alerts-{point}").exists)
    site.end_alerts()
    site.end("worse")  # which a message that has begun to go out must not take in
    site.bear()
    wait_until(lambda: site.named() == {"bad", "worse"})
    messages = [[task["id"] for task in message["tasks"]] for message in site.told()]
    together = [["bad", "worse"]]
    apart = [["bad"]] * (1 + (point == "sent")) + [["worse"]]
    assert messages == (together if point == "counted" else apart)
    incidents = {message["incident"] for message in site.told()}
    assert len(incidents) == len({tuple(ids) for ids in messages})
