"""What `alerts:` and `ping_url` may hold, and what is said when they hold something else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from alerts.app import app_of
from alerts.delivery import MissingVariableError
from cli.apps import roles, stage_of
from producers.bell import Bell
from settings import Settings, SettingsError, load

Load = Callable[..., Settings]


@pytest.fixture
def loaded(tmp_path: Path) -> Load:
    def read(text: str, dotenv: str = "") -> Settings:
        (tmp_path / "baton.yaml").write_text(text)
        (tmp_path / ".env").write_text(dotenv)
        return load(tmp_path / "baton.yaml", {"BATON_VAR": str(tmp_path / "var")})

    return read


def test_without_alerts_and_pings_there_is_no_app_for_them(loaded: Load) -> None:
    assert ("alerts", "") not in roles(loaded("consumers: 1\n"))


@pytest.mark.parametrize(
    "text",
    [
        "alerts: {webhook: https://h/x}",
        "alerts: {command: notify --json}",
        "ping_url: https://h/x",
        "schedules: {a: {every: 1h, prompt: Go, ping_url: https://h/x}}",
    ],
)
def test_each_of_them_asks_for_it(text: str, loaded: Load) -> None:
    assert ("alerts", "") in roles(loaded(text))
    assert stage_of("baton-alerts", "baton") == "producers"


def test_a_webhook_is_an_address_or_has_headers(loaded: Load) -> None:
    found = loaded("alerts: {webhook: {url: 'https://h/${A}', headers: {x-token: '${B}', n: 1}}}")
    assert found.alerts
    assert found.alerts.webhook
    assert found.alerts.webhook.url == "https://h/${A}"
    assert found.alerts.webhook.headers == {"x-token": "${B}", "n": "1"}
    assert [text for text in found.warnings if "A" in text and "B" not in text]


def test_a_command_is_a_line_or_words_and_found_from_the_yaml(loaded: Load, tmp_path: Path) -> None:
    for written in ("./tell 'a b'", "[./tell, a b]"):
        found = loaded(f"alerts: {{command: {written}}}")
        assert found.alerts
        assert found.alerts.command == (str(tmp_path / "tell"), "a b")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("alerts: {}", "alerts has neither webhook nor command"),
        ("alerts: {webhook: https://h, command: x}", "alerts has both webhook and command"),
        ("alerts: {webhok: https://h}", "unknown key alerts.webhok. Did you mean webhook?"),
        ("alerts: {webhook: ftp://h}", "alerts.webhook reads"),
        ("alerts: {webhook: {headers: {}}}", "alerts.webhook has no url"),
        ("alerts: {webhook: {url: https://h, body: x}}", "unknown key alerts.webhook.body"),
        ("alerts: {command: x, on: [failed, lunch]}", "alerts.on"),
        ("alerts: {command: x, timeout: 2m}", "a duration up to 60s"),
        ("alerts: {command: x, budget_percent: 0}", "a whole number from 1 to 100"),
        ('alerts: {command: "x \'y"}', "every quote closed"),
        ("ping_url: example.com/x", "ping_url reads"),
        (
            "schedules: {a: {every: 1h, prompt: Go, ping_url: nowhere}}",
            "schedules.a.ping_url reads",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_is_allowed(
    text: str, said: str, loaded: Load
) -> None:
    with pytest.raises(SettingsError) as refused:
        loaded(text)
    assert said in str(refused.value)
    assert "baton.yaml:1" in str(refused.value)


def test_another_address_restarts_the_app_and_shows_no_secret(loaded: Load) -> None:
    text = "alerts: {webhook: '${HOOK}'}\n"
    before, after = (loaded(text, f"HOOK=https://h/{part}\n") for part in ("one", "two"))
    assert before.describe("alerts") != after.describe("alerts")
    assert "https" not in str(before.describe("alerts"))


@pytest.mark.parametrize("value", ["hooks.example.com/s3cret", "https://[s3cret", "ftp://h/s3cret"])
def test_a_variable_that_makes_no_address_stops_the_app_and_is_not_shown(
    value: str, loaded: Load
) -> None:
    """Without a scheme a secret would go out as it is, over http."""
    texts = (
        "alerts: {webhook: '${HOOK}'}\n",
        "ping_url: ${HOOK}\n",
        "schedules: {a: {every: 1h, prompt: Go, ping_url: '${HOOK}'}}\n",
    )
    for text in texts:
        with pytest.raises(MissingVariableError) as refused:
            app_of(loaded(text, dotenv=f"HOOK={value}\n"), Bell())
        assert "HOOK in .env makes no web address" in str(refused.value)
        assert "s3cret" not in str(refused.value)
