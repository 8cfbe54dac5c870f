"""What one host tells of itself: apps that are down or go round in circles."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from alerts.host import Host
from alerts.times import DOWN_S, LOOP_S, LOOP_STARTS
from cli.locks import Lock, lock_path
from durable import starts
from durable.problems import Problems
from settings import Settings, load

APP = "baton-consumer-1"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "baton.yaml").write_text("consumers: 1\nalerts: {command: notify}\n")
    return load(tmp_path / "baton.yaml", {"BATON_VAR": str(tmp_path / "var")})


class Clock:
    """Unix seconds that a test moves on; what the files say is of now."""

    def __init__(self) -> None:
        import time

        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def host(settings: Settings, client: redis.Redis, clock: Clock) -> Host:
    return Host(settings, Problems(client, "{test}:", host="here"), wall=clock)


def standing(host: Host) -> list[str]:
    host.look()
    return [f"{p.subject}: {p.text}" for p in host.problems.standing()]


@contextmanager
def running(settings: Settings) -> Iterator[None]:
    lock = Lock(lock_path(settings.var, APP))
    assert lock.take()
    yield
    lock.close()


def start(settings: Settings) -> None:
    starts.note_start(settings.var, APP, "consumer", "1")


def test_an_app_that_was_killed_and_does_not_come_back_is_down(
    host: Host, settings: Settings, clock: Clock
) -> None:
    start(settings)
    with running(settings):
        assert standing(host) == []
    assert standing(host) == []  # PM2 may yet start it
    clock.now += DOWN_S
    assert standing(host) == [f"app:{APP}: it was killed and did not come back"]
    start(settings)
    with running(settings):
        assert standing(host) == []


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (1, "it ended with status 1 and did not come back"),
        (os.EX_CONFIG, "it stopped for a bad configuration, and stays so until that is mended"),
    ],
)
def test_an_app_that_ended_says_how(
    status: int, text: str, host: Host, settings: Settings, clock: Clock
) -> None:
    start(settings)
    starts.note_end(settings.var, APP, status)
    standing(host)
    clock.now += DOWN_S
    assert standing(host) == [f"app:{APP}: {text}"]


@pytest.mark.parametrize("status", starts.ASKED)
def test_an_app_that_was_asked_to_go_is_not_down_and_no_loop(
    status: int, host: Host, settings: Settings, clock: Clock
) -> None:
    for _ in range(LOOP_STARTS + 2):
        start(settings)
        starts.note_end(settings.var, APP, status)
    standing(host)
    clock.now += DOWN_S
    assert standing(host) == []


@pytest.mark.parametrize("ends", [None, 1, 69])
def test_an_app_that_crashes_again_and_again_is_a_loop_until_it_has_been_quiet(
    ends: int | None, host: Host, settings: Settings, clock: Clock
) -> None:
    for _ in range(LOOP_STARTS):
        start(settings)
        if ends is not None:
            starts.note_end(settings.var, APP, ends)
    assert standing(host) == []
    start(settings)
    with running(settings):
        [text] = standing(host)
        assert text.startswith(f"app:{APP}: a restart loop: it crashed 5 times")
        clock.now += LOOP_S + 60
        assert standing(host) == []


def test_an_app_that_baton_yaml_names_no_more_is_nobodys_trouble(
    host: Host, settings: Settings, clock: Clock
) -> None:
    starts.note_start(settings.var, "baton-consumer-9", "consumer", "9")
    starts.note_start(settings.var, "baton-watch-gone", "watch", "gone")
    starts.note_start(settings.var, "baton-mayor", "mayor", "")
    standing(host)
    clock.now += DOWN_S
    assert standing(host) == []


def test_a_note_that_nobody_can_read_begins_anew(settings: Settings) -> None:
    start(settings)
    (settings.var / "starts" / f"{APP}.json").write_text("{")
    assert starts.all_starts(settings.var) == []
    start(settings)
    assert [one.app for one in starts.all_starts(settings.var)] == [APP]


def test_where_the_note_cannot_be_written_the_app_starts_and_ends_all_the_same(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk has to be told, by an app that starts."""
    settings.var.mkdir()
    (settings.var / "starts").touch()  # no folder: whatever is written there fails
    start(settings)
    starts.note_end(settings.var, APP, 0)
    assert "cannot be written" in caplog.text
