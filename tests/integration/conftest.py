"""What the tests of alerts share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PrivateServer
from tests.integration.alert_site import HOOK, AlertSite, Nursery
from tests.integration.web_server import Reply, WebServer, serving


@pytest.fixture(scope="session")
def alert_nursery() -> Iterator[Nursery]:
    """Where alerts apps are forked."""
    found = Nursery()
    yield found
    found.close()


@pytest.fixture
def web() -> Iterator[WebServer]:
    """A server whose webhook takes everything."""
    with serving() as found:
        found.replies[HOOK] = Reply(b"ok")
        yield found


SiteOf = Callable[..., AlertSite]


@pytest.fixture
def alert_site(
    short_tmp: Path,
    web: WebServer,
    alert_nursery: Nursery,
    shared_servers: Callable[[str], PrivateServer],
) -> Iterator[SiteOf]:
    """Makes an instance with these settings, on a shared server unless they name one."""
    url = shared_servers("valkey").url
    made: list[AlertSite] = []

    def site(**more: Any) -> AlertSite:
        folder = short_tmp / str(len(made))
        folder.mkdir()
        made.append(AlertSite(folder, web, alert_nursery, **({"redis": url} | more)))
        return made[-1]

    yield site
    for one in made:
        one.close()
