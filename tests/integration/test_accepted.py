"""A mistake in baton.yaml or `.env` takes nobody's brakes away: verbs that look or stop go by what `up` accepted."""

import json
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from durable.records import State
from settings import SettingsError, accepted
from tests.integration.test_cli_verbs import baton, command, env
from tests.site import Site

MISTAKES = {"baton.yaml": "nope: 1\n", ".env": "SECRET=a\nthis is no line\n"}
CONFIG = {
    "consumers": 1,
    "claude": {"command": "/no/such/claude"},
    "watchers": {"inbox": {"path": "Inbox", "prompt": "{{ name }}"}},
}


@pytest.fixture
def site(short_tmp: Path) -> Iterator[Site]:
    made = Site(short_tmp, CONFIG)
    made.start("redis")
    yield made
    made.close()


def spoil(site: Site, name: str) -> str:
    """Append a mistake; where it is said to stand."""
    file = site.folder / name
    before = file.read_text() if file.exists() else ""
    file.write_text(before + MISTAKES[name])
    file.chmod(0o600)
    return f"{name}:{len(file.read_text().splitlines())}"


def told(site: Site, *words: str) -> tuple[int, str, str]:
    done = subprocess.run(
        command(*words), env=env(site), cwd=site.folder, capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_verbs_that_look_or_stop_go_by_what_was_accepted(site: Site) -> None:
    task_id = json.loads(baton(site, "add", "Hello.", "--json"))["id"]
    store = site.store
    accepted.keep(site.settings)
    for name, verbs in (
        (".env", (["list"], ["pause"])),
        ("baton.yaml", (["unpause"], ["show", task_id], ["why", task_id], ["cancel", task_id])),
    ):
        place = spoil(site, name)
        for words in verbs:
            status, _, err = told(site, *words)
            [head] = err.splitlines()
            assert status == 0
            assert place in head, words
            assert "what the last ./baton up accepted" in head
        assert [entry.reason for entry in store.gate()] == (["pause"] if name == ".env" else [])
        (site.folder / ".env").unlink(missing_ok=True)
    assert store.counts()[State.CANCELLED] == 1


def test_status_and_doctor_say_it_among_the_rest(site: Site) -> None:
    accepted.keep(site.settings)
    place = spoil(site, "baton.yaml")
    facts = json.loads(told(site, "status", "--json")[1])
    assert place in facts["mistake"]
    assert place in facts["missing"][0]["problem"]
    assert place in told(site, "status")[1]
    status, out, _ = told(site, "doctor", "--json")
    first, *others = json.loads(out)
    assert "examination failed" not in out
    assert (status, first["verdict"], first["what"]) == (1, "bad", "settings")
    assert place in first["words"]
    assert {"redis", "inbox"} & {finding["what"] for finding in others}, others


@pytest.mark.parametrize(
    "words", [["add", "Hello."], ["up"], ["restart"], ["run", "x"], ["poll", "x"]], ids=" ".join
)
def test_verbs_that_start_or_change_refuse(site: Site, words: list[str]) -> None:
    accepted.keep(site.settings)
    place = spoil(site, "baton.yaml")
    status, _, err = told(site, *words)
    assert status == 1
    assert err.startswith(place)
    assert "accepted" not in err


def test_without_an_accepted_copy_of_this_file_the_mistake_is_all_there_is(site: Site) -> None:
    place = spoil(site, "baton.yaml")
    assert told(site, "status")[0] == 1
    site.configure(CONFIG)
    accepted.keep(site.settings)
    copy = site.folder / "var" / "accepted.yaml"
    copy.write_text(copy.read_text().replace("baton.yaml", "other.yaml"))
    place = spoil(site, "baton.yaml")
    status, _, err = told(site, "status")
    assert status == 1
    assert err.startswith(place)
    assert "accepted" not in err


def test_the_copy_is_private_and_says_the_same(site: Site) -> None:
    before = site.settings
    accepted.keep(before)
    assert stat.S_IMODE((before.var / "accepted.yaml").stat().st_mode) == 0o600
    spoil(site, "baton.yaml")
    with pytest.raises(SettingsError) as caught:
        _ = site.settings
    found = accepted.instead(caught.value, environ=site.env)
    assert found.mistake == str(caught.value)
    assert (found.base, found.watchers) == (before.base, before.watchers)
    assert found.describe("consumer", "1") == before.describe("consumer", "1")
