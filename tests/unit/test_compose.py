"""docker-compose.yml keeps its promises on paper; the integration tests run its flags."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import compose_spec
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
TEXT = (ROOT / "docker-compose.yml").read_text()


@pytest.fixture
def redis() -> dict[str, Any]:
    """The one service, as Compose's own model reads it."""
    read: Any = compose_spec.PyCompose.from_yaml(TEXT).to_dict()
    assert list(read["services"]) == ["redis"]
    service: dict[str, Any] = read["services"]["redis"]
    return service


def flag(service: dict[str, Any], name: str) -> str:
    """The value after --NAME in the service's command."""
    command: list[str] = service["command"]
    return command[command.index(f"--{name}") + 1]


def test_the_schema_used_here_refuses_a_misspelt_key() -> None:
    with pytest.raises(ValueError, match="portz"):
        compose_spec.PyCompose.from_yaml(TEXT.replace("ports:", "portz:"))


def test_the_image_is_pinned_to_an_exact_official_version(redis: dict[str, Any]) -> None:
    assert re.fullmatch(r"redis:\d+\.\d+\.\d+-alpine", redis["image"])


def test_every_write_is_on_disk_before_it_is_answered(redis: dict[str, Any]) -> None:
    assert redis["command"][0] == "redis-server"
    assert (flag(redis, "appendonly"), flag(redis, "appendfsync")) == ("yes", "always")


def test_a_full_memory_never_evicts_a_task(redis: dict[str, Any]) -> None:
    assert flag(redis, "maxmemory-policy") == "noeviction"


def test_the_data_outlives_the_container(redis: dict[str, Any]) -> None:
    (volume,) = redis["volumes"]
    assert volume == "data:/data"
    assert "data" in compose_spec.PyCompose.from_yaml(TEXT).to_dict()["volumes"]


def test_only_this_machine_reaches_it(redis: dict[str, Any]) -> None:
    assert redis["ports"]
    assert all(str(port).startswith("127.0.0.1:") for port in redis["ports"])


def test_without_a_password_compose_refuses_to_start(redis: dict[str, Any]) -> None:
    required = r"\$\{BATON_REDIS_PASSWORD:\?.+\.env.*\}"
    assert re.fullmatch(required, flag(redis, "requirepass"))
    assert re.fullmatch(required, redis["environment"]["REDISCLI_AUTH"])


def test_it_comes_back_after_a_crash_and_a_reboot(redis: dict[str, Any]) -> None:
    assert redis["restart"] == "unless-stopped"


def test_it_is_healthy_only_when_it_answers_pong(redis: dict[str, Any]) -> None:
    assert "grep -qx PONG" in str(redis["healthcheck"]["test"])
