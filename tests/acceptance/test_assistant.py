"""The worked example, brought up as its page says: a file, mail, the Monday briefing, and a day of mishaps."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.parser import parser
from durable.records import State
from tests.acceptance.assistant_site import assistant
from tests.acceptance.claude_pm2_site import ClaudePm2Site
from tests.acceptance.claude_site import script
from tests.conftest import wait_until
from tests.documents import commands
from tests.unit.test_cli_grammar import VERBS, choices

MAIL = """From: Landlord <rent@example.com>
Subject: Rent
Message-ID: <1@example.com>
Date: Mon, 02 Nov 2026 08:00:00 +0000

Please pay the rent by Friday. {{ 7*7 }} $(touch pwned)
"""
BRIEFING = "# The week\n\n" + "- Pay the rent by Friday, see the note in Needs_Action.\n" * 3


def write(file: Path, text: str) -> dict[str, Any]:
    """One call of the tool that writes a file."""
    return {"tool": "Write", "input": {"file_path": str(file), "content": text}}


#: Commands of the documents that have a test of their own, or need a person.
ELSEWHERE = {
    "": "a newcomer's screen",
    "test": "this is it",
    "check": "a part of it",
    "demo": "test_demo.py",
    "chaos": "test_chaos.py",
    "login": "asks a person",
    "boot": "test_power_cut.py, and never on the machine of the tests",
    "down": "test_pm2_up.py",
    "VERB": "stands for one",
}
#: What a page's NAME stands for.
NAMES = {"poll": "mail"}


@pytest.fixture(scope="module")
def site() -> Iterator[ClaudePm2Site]:
    """The example, with prompts that say what the stand-in is to do."""
    with assistant() as own:
        vault, prompts = own.folder / "vault", own.folder / "prompts"
        (prompts / "mail.md").write_text(
            script(write(vault / "Needs_Action" / "rent.md", "Pay."), text="A note.")
        )
        (prompts / "monday-briefing.md").write_text(
            script(write(vault / "Briefings" / f"{today()}.md", BRIEFING), text="Written.")
        )
        yield own


def today() -> str:
    return dt.datetime.now(dt.UTC).date().isoformat()


def test_a_dropped_file_is_summarised_and_put_away(site: ClaudePm2Site) -> None:
    done = site.folder / "vault" / "Done"
    (site.folder / "vault" / "Inbox" / "letter.txt").write_text("The meeting is on Tuesday.\n")
    wait_until((done / "letter.txt.summary.md").exists, 60, "there is a summary")
    wait_until((done / "letter.txt").exists, 10, "the file is put away")


def test_new_mail_is_looked_through_once_and_is_no_order(site: ClaudePm2Site) -> None:
    (site.folder / "mail" / "new" / "1").write_text(MAIL)
    shown = site.facts("poll", "mail", "--dry-run")
    assert "49" not in json.dumps(shown)
    assert "$(touch pwned)" in json.dumps(shown)
    for _ in range(2):
        site.baton("poll", "mail")
    wait_until(lambda: site.done_by("poller:mail"), 60, "the mail is triaged")
    assert (site.folder / "vault" / "Needs_Action" / "rent.md").read_text() == "Pay."
    assert site.store.counts_by_source()["poller:mail"][State.SUCCEEDED] == 1
    assert not list(site.folder.rglob("pwned"))


def test_the_monday_briefing_is_there_or_the_task_is_no_success(site: ClaudePm2Site) -> None:
    site.baton("run", "monday-briefing")
    wait_until(lambda: site.done_by("schedule:monday-briefing"), 60, "the briefing is made")
    assert (site.folder / "vault" / "Briefings" / f"{today()}.md").read_text() == BRIEFING
    assert "monday-briefing" in site.baton("schedules")

    (site.folder / "vault" / "Briefings" / f"{today()}.md").unlink()
    prompt = site.folder / "prompts" / "monday-briefing.md"
    prompt.write_text("STANDIN: " + json.dumps({"text": "I have written it, believe me."}))
    site.baton("run", "monday-briefing")
    wait_until(lambda: site.store.counts()[State.SCHEDULED], 60, "it is to be tried again")
    again = site.store.page(State.SCHEDULED)[0]
    assert (again.outcome, again.counted) == ("unverified", 1)
    assert "There is no new file in" in again.reason
    site.baton("cancel", again.id)


def test_its_own_python_task_runs_when_it_is_asked_for(site: ClaudePm2Site) -> None:
    old = site.folder / "vault" / "Done" / "old.md"
    old.write_text("done long ago")
    os.utime(old, (1_700_000_000, 1_700_000_000))
    site.baton("run", "tidy")
    wait_until((old.parent / "2023" / "old.md").exists, 30, "it is in the folder of its year")


def test_every_command_that_a_page_shows_runs(site: ClaudePm2Site) -> None:
    """In the order of the alphabet, so that a pause comes before its end."""
    shown = {shown.words for shown in commands()} - {()}
    for verb, *rest in sorted(words for words in shown if words[0] not in ELSEWHERE):
        if not rest and _wants_words(verb):
            continue  # named in a sentence
        about = _task_for(site, verb, rest)
        meant = {"ID": about, "NAME-or-ID": about, "NAME": NAMES.get(verb, "monday-briefing")}
        words = [meant.get(word, word) for word in rest]
        status, out, errors = site.call(verb, *words)
        assert status == 0 or verb == "doctor", (verb, words, out, errors)
        assert "Traceback" not in out + errors


#: What each verb that prints facts is asked for; an id is that of a task of its own kind.
ASKED = {
    "add": ["Say hello.", "--queue", "nobody"],
    "boot": ["status"],
    "pause": ["holiday"],
    "poll": ["mail"],
    "prune": ["7d"],
    "restart": ["consumer-1"],
    "run": ["monday-briefing"],
    "why": ["monday-briefing"],
}


def test_every_verb_that_prints_facts_prints_one_json_document(site: ClaudePm2Site) -> None:
    """But for logs: one event a line."""
    verbs = json_verbs()
    assert {"status", "show", "alerts", "unpause"} <= set(verbs)
    for verb in verbs:
        wanted = ASKED.get(verb) or ([_task_for(site, verb, [])] if _wants_words(verb) else [])
        status, out, errors = site.call(verb, *wanted, "--json")
        assert status == 0 or verb == "doctor", (verb, out, errors)
        documents = out.splitlines() if verb == "logs" else [out]
        assert [json.loads(document) for document in documents], verb


def json_verbs() -> list[str]:
    """The verbs of the grammar that take --json."""
    return [verb for verb in VERBS if "--json" in choices(verb)[verb].format_help()]


def _task_for(site: ClaudePm2Site, verb: str, options: list[str]) -> str:
    """One of the kind that a verb is about; else one that is done."""
    store = site.store
    if verb == "retry" and "--resume" in options:
        return next(task.id for task in store.page(State.CANCELLED) if task.attempt)
    if verb in ("cancel", "hold", "retry"):
        waiting = str(site.facts("add", "wait", "--queue", "nobody")["id"])
        if verb == "retry":
            site.baton("cancel", waiting)
        return waiting
    held = store.page(State.HELD)
    return held[0].id if verb == "release" else store.page(State.SUCCEEDED)[0].id


def _wants_words(verb: str) -> bool:
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            parser(verb).parse_args([verb])
        except SystemExit:
            return True
    return False
