"""Whose files a task is about decides who may run it: the queue of a machine, and what it is called."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import settings
from durable import identity
from settings import Settings, SettingsError

INBOX = "watchers:\n  inbox:\n    path: Inbox\n    prompt: Read it.\n"
Load = Callable[[str], Settings]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads a baton.yaml of this text, whose state folder is `var` beside it."""

    def loaded(text: str) -> Settings:
        (tmp_path / "baton.yaml").write_text(text)
        return settings.load(tmp_path / "baton.yaml", {"BATON_VAR": str(tmp_path / "var")})

    return loaded


def test_the_tasks_of_a_folder_are_its_machine_s_own_unless_it_is_shared(load: Load) -> None:
    assert load("host: hut\n" + INBOX).watchers["inbox"].queue == "host:hut"
    assert load("host: hut\n" + INBOX + "    shared: true\n").watchers["inbox"].queue == "default"
    for shared in ("", "    shared: true\n"):
        found = load("host: hut\n" + INBOX + shared + "    queue: slow\n")
        assert found.watchers["inbox"].queue == "slow"


def test_what_is_no_file_of_a_machine_s_is_everybody_s(load: Load) -> None:
    text = "schedules:\n  s: {every: 5m, prompt: x}\npollers:\n  p: {every: 5m, command: x, prompt: x}\n"
    found = load(text)
    assert (found.schedules["s"].queue, found.pollers["p"].queue) == ("default", "default")


def test_consumers_take_from_their_machine_s_own_queue_where_they_take_from_default(
    load: Load,
) -> None:
    assert load("host: hut\nconsumers: 3\n").consumers[0].queues == ("default", "host:hut")
    own = load("host: hut\nconsumers:\n- {queues: ['host:hut', default]}\n- {queues: [slow]}\n")
    assert [group.queues for group in own.consumers] == [("host:hut", "default"), ("slow",)]


def test_a_machine_that_is_renamed_keeps_its_queue(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _call(monkeypatch, "Anna's-MacBook.local")
    first = load("").host
    assert first == "anna-s-macbook"
    _call(monkeypatch, "dhcp-17")
    assert load("").host == "dhcp-17", "nothing was ever sent under the other name"
    identity.keep_host_name(tmp_path / "var", first)
    assert load("").host == first
    assert load("host: hut\n").host == "hut", "what is written wins"


@pytest.mark.parametrize("name", ["", "---", "\u00e4\u00f6\u00fc", "a" * 300])
def test_any_name_of_a_machine_makes_a_queue(
    load: Load, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    _call(monkeypatch, name)
    settings.checked(load(INBOX).watchers["inbox"].queue, settings.values.Queue)


def test_a_name_that_makes_no_queue_is_refused(load: Load) -> None:
    with pytest.raises(SettingsError, match=r"baton\.yaml:1: host reads \"My Mac\""):
        load("host: My Mac\n")


@pytest.mark.parametrize("consumers", ["0", "[{queues: [slow]}]"])
def test_files_that_no_consumer_of_their_machine_takes_are_a_warning(
    load: Load, consumers: str
) -> None:
    text = f"host: hut\nconsumers: {consumers}\n" + INBOX
    [said] = load(text).warnings
    assert "queue host:hut" in said
    assert "shared: true" in said
    assert load(text + "    queue: host:other\n").warnings == (), (
        "who serves that is not known here"
    )


def _call(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """From now on the machine has this name."""
    now = os.uname()
    found = os.uname_result((now.sysname, name, now.release, now.version, now.machine))
    monkeypatch.setattr("os.uname", lambda: found)
