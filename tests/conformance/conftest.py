"""Huey's tests, each on a server of its own, in a folder that they may leave files in."""

from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from tests.conformance import adapter
from tests.conftest import PrivateServer


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _on_a_server(
    request: pytest.FixtureRequest,
    shared_servers: Callable[[str], PrivateServer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kind = getattr(request.cls, "server", None)
    if kind is None:
        return

    def empty_server() -> redis.Redis:
        return shared_servers(kind).client()

    monkeypatch.setattr(adapter, "empty_server", empty_server)
