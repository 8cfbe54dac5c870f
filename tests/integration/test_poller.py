"""A polled source: every item once, whatever fails in between, and no failure taken for emptiness."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from durable.codec import dumps
from durable.problems import Problems
from durable.records import Record, State
from durable.store import LeaseStore
from producers import bookmark
from producers.bookmark import Bookmark, Timing
from producers.harvest import VARIABLES
from producers.poller import Poller
from producers.recipe import Makers, Recipe
from producers.sources import Fetched, Item, RefusedError, SourceError
from settings import Duration
from settings import Poller as Config
from tests.conftest import wait_until
from tests.makers import body, makers
from tests.site import Site


class FakeSource:
    """Answers what the test puts in."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.error: Exception | None = None
        self.place = ""
        self.more, self.wait_s = False, 0.0
        self.again: str | None = None
        self.extra: tuple[Item, ...] = ()
        self.asked: list[str] = []

    def fetch(self, place: str, stopped: Callable[[], bool]) -> Fetched:
        self.asked.append(place)
        if self.error:
            raise self.error
        items = tuple(Item(i, {"id": i, "title": f"t{i}"}) for i in self.ids)
        return Fetched((*self.extra, *items), self.place, self.more, self.wait_s, self.again)


class Rig:
    """A poller stepped by hand, with a clock of its own."""

    def __init__(self, store: LeaseStore, source: FakeSource, **fields: Any) -> None:
        self.store, self.source = store, source
        fields.setdefault("prompt", "{{ id }}: {{ item.title }}")
        self.config = Config(name="issues", every=Duration(300), command=("x",), **fields)
        self.now, self.chance = 1_800_000_000.0, 0.0
        self.faults: Callable[[str], None] = lambda point: None
        self.poller = self.restart()

    def restart(self) -> Poller:
        self.poller = self.made()
        return self.poller

    def made(self) -> Poller:
        recipe = Recipe(self.config, "poller", VARIABLES, makers(Path("/base")))
        return Poller(
            self.config,
            self.source,
            self.store,
            recipe,
            wall=lambda: self.now,
            clock=lambda: self.now,
            chance=lambda: self.chance,
            faults=lambda point: self.faults(point),
        )

    @property
    def problem(self) -> str:
        """What stands in the way of this poller."""
        standing = Problems(self.store.client, self.store.prefix).standing()
        return "".join(one.text for one in standing if one.subject == "poller:issues")

    @property
    def problem_lasts_s(self) -> float:
        """How long that has stood, when it was last told."""
        [one] = Problems(self.store.client, self.store.prefix).standing()
        return (one.seen_ms - one.since_ms) / 1000

    def poll(self, *ids: str, seconds: float = 301.0) -> list[str]:
        """Let the source answer with these ids once; the prompts of all tasks."""
        if ids:
            self.source.ids = list(ids)
        self.now += seconds
        self.poller.step()
        return self.prompts

    @property
    def tasks(self) -> list[Record]:
        return self.store.page(State.QUEUED, limit=10_000)

    @property
    def prompts(self) -> list[str]:
        return [body(self.store, task.id)["prompt"] for task in self.tasks]

    @property
    def mark(self) -> Bookmark:
        return bookmark.read(self.store.read_cursor("poll:issues"))


@pytest.fixture
def source() -> FakeSource:
    return FakeSource()


@pytest.fixture
def rig(store: LeaseStore, source: FakeSource) -> Rig:
    return Rig(store, source)


class Killed(BaseException):
    """Stands for SIGKILL."""


# -- each item once


def test_each_new_item_becomes_one_task_and_known_ones_none(rig: Rig) -> None:
    assert rig.poll("a", "b") == ["a: ta", "b: tb"]
    assert rig.poll("a", "b") == ["a: ta", "b: tb"]
    assert rig.poll("c", "b") == ["a: ta", "b: tb", "c: tc"]
    [*_, task] = rig.tasks
    assert (task.source, task.key) == ("poller:issues", "poll:issues:c")


def test_an_item_that_went_away_and_came_back_is_not_new(rig: Rig) -> None:
    rig.poll("a")
    rig.poll("b")
    rig.store.client.delete("{test}:keys")  # the queue's own memory has aged out
    assert rig.poll("a", "b") == ["a: ta", "b: tb"]


def test_an_id_twice_in_one_answer_is_one_item(rig: Rig) -> None:
    assert rig.poll("a", "a") == ["a: ta"]


def test_the_next_poll_is_due_one_interval_after_the_last_began_also_after_a_restart(
    rig: Rig,
) -> None:
    rig.poll("a")
    assert rig.poller.step() == pytest.approx(300.0)
    rig.restart()
    rig.now += 100
    assert rig.poller.step() == pytest.approx(200.0)
    assert rig.source.asked == [""]


def test_a_clock_that_was_set_back_delays_a_poll_by_one_interval_at_most(rig: Rig) -> None:
    rig.poll("a")
    rig.now -= 86_400
    assert rig.poller.step() == pytest.approx(300.0)


def test_the_source_goes_on_from_its_own_place(rig: Rig) -> None:
    rig.source.place = "page-2"
    rig.poll("a")
    rig.poll("b")
    assert rig.source.asked == ["", "page-2"]


def test_a_whole_item_stands_in_the_prompt_as_json(store: LeaseStore, source: FakeSource) -> None:
    rig = Rig(store, source, prompt="Triage: {{ item }}")
    [prompt] = rig.poll("a")
    assert prompt.startswith("Triage: <data-")
    assert '\n{"id": "a", "title": "ta"}\n' in prompt


def test_a_python_task_is_called_with_the_item(store: LeaseStore, source: FakeSource) -> None:
    rig = Rig(store, source, prompt=None, task="known")
    rig.now += 1
    source.ids = ["a"]
    rig.poller.step()
    assert body(store, rig.tasks[0].id)["args"] == [{"id": "a", "title": "ta"}]


def test_a_long_id_is_known_again(rig: Rig) -> None:
    long = "https://example.org/" + "x" * 500
    rig.poll(long)
    assert len(rig.poll(long)) == 1
    assert len(rig.mark.seen[0]) <= 40


# -- the journal


def told(rig: Rig) -> list[tuple[str, str, int]]:
    return [(e.what, e.about, e.count) for e in rig.store.journal("poller:issues")]


def test_the_journal_has_a_line_for_each_item_that_became_a_task(rig: Rig) -> None:
    rig.poll("a", "b")
    rig.poll("a", "c")
    assert told(rig) == [("run", "c", 1), ("run", "b", 1), ("run", "a", 1)]
    ids = {entry.id for entry in rig.store.journal("poller:issues")}
    assert ids == {task.id for task in rig.tasks}


def test_the_journal_says_how_many_a_baseline_left_out(store: LeaseStore) -> None:
    source = FakeSource()
    rig = Rig(store, source, first="baseline")
    rig.poll("a", "b")
    [entry] = rig.store.journal("poller:issues")
    assert (entry.what, entry.count, entry.why) == ("skipped", 2, "first is baseline")


def test_a_row_of_failures_is_told_once_and_its_end(rig: Rig) -> None:
    rig.poll("a")
    rig.source.error = SourceError("answered 500")
    for _ in range(4):
        rig.poll(seconds=2000)
    rig.source.error = None
    rig.poll("a", "b", seconds=2000)
    assert told(rig) == [("back", "", 1), ("run", "b", 1), ("failed", "", 1), ("run", "a", 1)]
    back, _, failed, _ = rig.store.journal("poller:issues")
    assert (failed.why, back.why) == ("answered 500", "it answers again, after 4 failed polls")


def test_an_item_whose_prompt_cannot_be_made_is_told_once(store: LeaseStore) -> None:
    rig = Rig(store, FakeSource(), prompt="{{ item.nothing }}")
    for _ in range(3):
        rig.poll("a")
    assert told(rig) == [("put off", "a", 1)]


# -- when the source says how long


def test_a_source_that_asks_for_patience_gets_it(rig: Rig) -> None:
    rig.poll("a")
    rig.source.error = SourceError("answered 429", wait_s=2000.0)
    rig.poll()
    asked = len(rig.source.asked)
    rig.poll(seconds=1900)
    assert len(rig.source.asked) == asked
    rig.source.error = None
    rig.poll("b", seconds=200)
    assert "b: tb" in rig.prompts


def test_refused_credentials_are_tried_again_once_an_hour(rig: Rig) -> None:
    rig.source.error = RefusedError("answered 401")
    for _ in range(60):
        rig.poll(seconds=120)
    assert len(rig.source.asked) == 2
    assert told(rig) == [("failed", "", 1)]


def test_an_answer_that_holds_for_long_is_not_asked_for_again_before(rig: Rig) -> None:
    rig.source.wait_s = 1000.0
    rig.poll("a")
    rig.restart()
    assert rig.poller.step() == pytest.approx(1000.0)
    rig.now -= 50_000  # the clock is set back
    assert rig.poller.step() <= 1000.0


def test_what_did_not_fit_into_one_fetch_is_fetched_at_once(rig: Rig) -> None:
    rig.source.more, rig.source.place = True, "page 2"
    rig.poll("a")
    rig.source.more = False
    assert rig.poll("b", seconds=0.1) == ["a: ta", "b: tb"]
    assert rig.source.asked == ["", "page 2"]


def test_a_source_that_has_more_but_is_at_its_limit_is_left_alone_for_that(rig: Rig) -> None:
    rig.source.more, rig.source.wait_s = True, 50.0
    rig.poll("a")
    assert rig.poller.step() == pytest.approx(50.0)


def test_polls_do_not_keep_in_step(rig: Rig) -> None:
    rig.chance = 0.5
    rig.poll("a")
    assert rig.poller.step() == pytest.approx(300.0 + 7.5)
    rig.chance = 0.9
    rig.config = Config(name="issues", every=Duration(86_400), command=("x",), prompt="x")
    rig.restart()
    rig.poll("a", seconds=86_400)
    assert rig.poller.step() == pytest.approx(86_400 + 27.0)


# -- edits


def test_another_interval_holds_from_the_last_poll_on(rig: Rig) -> None:
    rig.poll("a")
    rig.config = Config(name="issues", every=Duration(60), command=("x",), prompt="x")
    rig.restart()
    rig.now += 20
    assert rig.poller.step() == pytest.approx(40.0)
    rig.config = Config(name="issues", every=Duration(3600), command=("x",), prompt="x")
    rig.restart()
    assert rig.poller.step() == pytest.approx(3580.0)


def test_another_interval_does_not_shorten_what_the_source_asked_for(rig: Rig) -> None:
    rig.source.wait_s = 1000.0
    rig.poll("a")
    rig.config = Config(name="issues", every=Duration(60), command=("x",), prompt="x")
    rig.restart()
    assert rig.poller.step() == pytest.approx(1000.0)


def test_another_address_is_asked_at_once_and_runs_only_what_is_new(rig: Rig) -> None:
    rig.poll("a")
    rig.config = Config(name="issues", every=Duration(300), command=("y",), prompt="{{ id }}")
    rig.restart()
    assert rig.poll("a", "b", seconds=1) == ["a: ta", "b"]
    rig.poll("c", seconds=1)
    assert len(rig.source.asked) == 2, "once"


# -- a person


def test_a_person_polls_now_or_looks_first(rig: Rig) -> None:
    rig.poll("a")
    rig.source.ids = ["a", "b"]
    assert [item.id for item in rig.poller.poll_now(dry=True)] == ["b"]
    assert rig.prompts == ["a: ta"]
    assert rig.poller.harvest.prompt_of(Item("b", {"title": "tb"})) == "b: tb"
    assert [item.id for item in rig.poller.poll_now()] == ["b"]
    assert rig.prompts == ["a: ta", "b: tb"]
    assert rig.poller.step() == pytest.approx(300.0)


# -- the first poll


@pytest.mark.parametrize(
    ("first", "run"), [("all", ["a", "b", "c"]), ("baseline", []), (2, ["a", "b"]), (0, [])]
)
def test_the_first_poll_runs_what_first_says_and_the_rest_is_known(
    store: LeaseStore, source: FakeSource, first: Any, run: list[str]
) -> None:
    rig = Rig(store, source, first=first)
    assert [p[0] for p in rig.poll("a", "b", "c")] == run
    assert [p[0] for p in rig.poll("a", "b", "c", "d")] == [*run, "d"]


@pytest.mark.parametrize(("first", "run"), [("baseline", []), (3, ["a", "b", "c"])])
def test_a_first_poll_goes_on_to_the_last_page(
    store: LeaseStore, first: Any, run: list[str]
) -> None:
    source = FakeSource()
    rig = Rig(store, source, first=first)
    source.more, source.place = True, "2"
    rig.poll("a", "b")
    rig.restart()
    rig.poll("c", "d", seconds=0.1)
    source.more = False
    rig.poll("e", seconds=0.1)
    assert [p[0] for p in rig.prompts] == run
    assert [p[0] for p in rig.poll("a", "d", "e", "f")] == [*run, "f"]


def test_an_empty_first_poll_is_a_first_poll(store: LeaseStore, source: FakeSource) -> None:
    rig = Rig(store, source, first="baseline")
    rig.poll()
    assert rig.poll("a") == ["a: ta"]


# -- failures


def test_a_failed_poll_submits_nothing_and_moves_nothing(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.poll("a")
    before = rig.store.read_cursor("poll:issues")
    rig.source.error = SourceError("exited with 3")
    assert rig.poll("a", "b") == ["a: ta"]
    assert rig.store.read_cursor("poll:issues") == before
    assert "exited with 3" in caplog.text
    rig.source.error = None
    assert rig.poll("a", "b") == ["a: ta", "b: tb"]


def test_a_failing_source_is_asked_less_and_less_often_and_never_given_up(rig: Rig) -> None:
    rig.source.error = SourceError("down")
    waits = []
    for _ in range(40):
        waits.append(rig.poller.step())
        rig.now += waits[-1] + 0.001
    assert 4.0 <= waits[0] <= 6.0
    assert all(wait <= 900.0 for wait in waits)
    assert min(waits[-20:]) > 700.0
    assert len(set(waits[-20:])) > 1 or max(waits) == 900.0
    assert len(rig.source.asked) == 40


def test_an_item_whose_prompt_cannot_be_made_holds_up_no_other_and_is_not_forgotten(
    rig: Rig,
) -> None:
    rig.config = Config(
        name="issues", every=Duration(300), command=("x",), prompt="{{ item.number }}"
    )
    rig.restart()
    rig.poll("a")
    assert rig.tasks == []
    assert rig.mark.seen == ()
    rig.config = Config(name="issues", every=Duration(300), command=("x",), prompt="{{ id }}")
    rig.restart()
    assert rig.poll() == ["a"]


def test_an_item_that_no_message_can_hold_holds_up_no_other(rig: Rig) -> None:
    def written(prompt: str, **fields: Any) -> Any:
        dumps(fields["context"])
        return makers(Path("/base")).claude_submission(prompt, **fields)

    deep: Any = 1
    for _ in range(500):
        deep = {"in": deep}
    new = Makers(written, makers(Path("/base")).task_submission, Path("/base"))
    rig.poller.harvest.recipe = Recipe(rig.config, "poller", VARIABLES, new)
    rig.source.extra = (Item("deep", {"title": "t", "in": deep}),)
    assert rig.poll("a", "b") == ["a: ta", "b: tb"]
    assert "1 item is put off" in rig.problem


def test_an_item_that_is_put_off_is_asked_for_again_where_the_source_says_so(rig: Rig) -> None:
    rig.source.place, rig.source.again = "after it", "before it"
    rig.config = Config(name="issues", every=Duration(300), command=("x",), prompt="{{ item.no }}")
    rig.restart()
    rig.poll("a")
    assert rig.mark.place == "before it"
    assert rig.problem == (
        "1 item is put off, for the prompt cannot be made: ./baton why issues says the reason"
    )
    assert "no attribute 'no'" in rig.store.journal("poller:issues", 1)[0].why
    rig.config = Config(name="issues", every=Duration(300), command=("x",), prompt="{{ id }}")
    rig.restart()
    assert rig.poll() == ["a"]
    assert (rig.mark.place, rig.problem) == ("after it", "")


# -- standing problems


def test_a_source_that_fails_for_long_is_a_problem_until_it_answers(rig: Rig) -> None:
    rig.poll("a")
    rig.source.error = SourceError("answered 500")
    rig.poll(seconds=310)
    for _ in range(3):
        rig.poll(seconds=60)
    assert rig.problem == "", "a network that comes and goes is none"
    for _ in range(3):
        rig.poll(seconds=60)
    assert rig.problem == "fails: answered 500"
    assert rig.problem_lasts_s == pytest.approx(300.0), "since its first failure"
    rig.restart()
    rig.source.error = None
    rig.poll(seconds=310)
    assert rig.problem == "", "whoever told of it"


def test_a_source_that_wants_to_be_left_alone_for_long_is_a_problem_meanwhile(rig: Rig) -> None:
    rig.source.error = SourceError("answered 429", wait_s=7200.0)
    rig.poll()
    rig.poll(seconds=600)
    assert rig.problem == ""
    rig.poll(seconds=600)
    assert rig.problem == "fails: answered 429"


def test_refused_credentials_are_a_problem_at_once_and_a_poll_by_hand_ends_it(rig: Rig) -> None:
    rig.source.error = RefusedError("answered 401")
    rig.poll()
    assert rig.problem == "paused: answered 401"
    by_hand, hourly = rig.made(), rig.poller
    rig.source.error, rig.source.ids = None, ["a"]
    by_hand.poll_now()
    assert rig.problem == ""
    assert hourly.step() == pytest.approx(300.0), "it follows the one who got through"
    assert [row[0] for row in told(rig)] == ["back", "run", "failed"]


def test_redis_away_before_the_poll_asks_nobody(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> str:
        raise redis.ConnectionError("refused")

    monkeypatch.setattr(rig.store, "read_cursor", away)
    assert 0 < rig.poller.step() <= 5.0
    assert rig.source.asked == []


def test_redis_away_after_the_poll_keeps_the_answer_and_submits_it_later(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise redis.ConnectionError("refused")

    monkeypatch.setattr(rig.store, "submit", away)
    rig.poll("a")
    for _ in range(10):
        rig.poll(seconds=6.0)
    assert len(rig.source.asked) == 1
    monkeypatch.undo()
    assert rig.poll(seconds=6.0) == ["a: ta"]


def test_an_unreadable_cursor_doubles_nothing(rig: Rig) -> None:
    rig.poll("a")
    rig.store.client.hset("{test}:cursors", "poll:issues", "{garbage")
    assert rig.poll("a", "b") == ["a: ta", "b: tb"]


# -- many items, crashes, several pollers


def test_many_items_go_in_by_parts_and_a_crash_between_them_loses_and_doubles_nothing(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bookmark, "AT_ONCE", 10)
    passed = 0

    def third(point: str) -> None:
        nonlocal passed
        passed += point == "submitted"
        if passed == 3:
            raise Killed

    rig.faults = third
    ids = [f"{number:03}" for number in range(45)]
    with pytest.raises(Killed):
        rig.poll(*ids)
    assert len(rig.tasks) == 30
    rig.faults = lambda _: None
    rig.restart()
    rig.poll(seconds=0.1)
    assert [prompt[:3] for prompt in rig.prompts] == ids
    assert len(rig.mark.seen) == 45


@pytest.mark.parametrize("point", ["fetched", "submitted"])
def test_a_crash_at_any_point_loses_no_item_and_doubles_none(rig: Rig, point: str) -> None:
    def die(passed: str) -> None:
        if passed == point:
            raise Killed

    rig.faults = die
    with pytest.raises(Killed):
        rig.poll("a", "b")
    rig.faults = lambda _: None
    rig.restart()
    assert rig.poll() == ["a: ta", "b: tb"]


def test_two_pollers_of_one_source_double_nothing(
    rig: Rig, store: LeaseStore, source: FakeSource
) -> None:
    other = Rig(store, source)
    other.faults = lambda point: (rig.poll("a", "b"), None)[1] if point == "fetched" else None
    other.poll("a", "b")
    assert rig.prompts == ["a: ta", "b: tb"]
    other.faults = lambda _: None
    assert other.poll("a", "b", "c") == ["a: ta", "b: tb", "c: tc"]


def test_what_is_remembered_is_bounded_but_holds_the_whole_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bookmark, "REMEMBERED", 5)
    old = Bookmark(True, 0.0, "", ("o1", "o2", "o3", "o4", "a"))
    items = tuple(Item(i, {}) for i in ("a", "b", "c"))
    [step] = bookmark.steps(old, Fetched(items), items[1:], (), Timing(9.0))
    assert step.bookmark.seen == ("o3", "o4", "a", "b", "c")
    many = tuple(Item(f"n{i}", {}) for i in range(8))
    [step] = bookmark.steps(old, Fetched(many), many, (), Timing(9.0))
    assert len(step.bookmark.seen) == 8


@pytest.mark.parametrize("text", ["{", "[]", "7", '{"seen": 1}', '{"polled": true}', "null"])
def test_a_cursor_of_another_make_is_said_not_guessed(text: str) -> None:
    with pytest.raises(bookmark.BookmarkError):
        bookmark.read(text)


def test_a_bookmark_survives_its_text() -> None:
    mark = Bookmark(True, 123.5, "p", ("a", "ü", "\ud800"))
    assert bookmark.read(mark.text()) == mark


# -- the process


@pytest.fixture
def site(short_tmp: Path) -> Iterator[Site]:
    program = short_tmp / "items.py"
    program.write_text("for i in (1, 2): print('{\"id\": %d}' % i)")
    entry = {
        "every": "1s",
        "command": [sys.executable, str(program)],
        "prompt": "Triage {{ item }}",
    }
    site = Site(short_tmp, {"pollers": {"issues": entry}})
    site.start("redis")
    yield site
    site.close()


def test_a_program_s_items_reach_the_queue_once(site: Site) -> None:
    site.start("poll", "issues")
    wait_until(lambda: len(site.store.page(State.QUEUED)) == 2, what="both items are tasks")
    first = json.loads(site.store.read_cursor("poll:issues"))["due"]
    wait_until(
        lambda: json.loads(site.store.read_cursor("poll:issues"))["due"] > first + 1,
        what="it polled again",
    )
    assert len(site.store.page(State.QUEUED)) == 2


def test_sigkill_after_the_submit_doubles_nothing(site: Site) -> None:
    (site.folder / ".env").write_text("BATON_FAULT=poller:submitted\n")
    with contextlib.suppress(AssertionError):  # it may be gone before it is seen to be ready
        site.start("poll", "issues")
    assert site.processes.pop("poll-issues").wait(20) == -signal.SIGKILL
    assert len(site.store.page(State.QUEUED)) == 2
    site.start("poll", "issues")
    first = json.loads(site.store.read_cursor("poll:issues"))["due"]
    wait_until(
        lambda: json.loads(site.store.read_cursor("poll:issues"))["due"] > first,
        what="it polled again",
    )
    assert len(site.store.page(State.QUEUED)) == 2


def test_a_stop_ends_a_poller_and_its_hanging_program_within_a_second(short_tmp: Path) -> None:
    code = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "open('pid', 'w').write(str(os.getpid()))\n"
        "time.sleep(60)"
    )
    entry = {"every": "1s", "command": [sys.executable, "-c", code], "prompt": "{{ item }}"}
    site = Site(short_tmp, {"pollers": {"issues": entry}})
    try:
        site.start("redis")
        process = site.start("poll", "issues")
        pid = short_tmp / "pid"
        wait_until(lambda: pid.exists() and pid.read_text(), what="the program runs")
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 0
        assert time.monotonic() - begun < 1.2
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid.read_text()), 0)
    finally:
        site.close()


def test_sigkill_of_a_poller_ends_its_program_too_before_another_runs(short_tmp: Path) -> None:
    code = (
        "import os, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        "with open('runs', 'a') as runs: runs.write(f'{os.getpid()} {child.pid}\\n')\n"
        "time.sleep(60)"
    )
    entry = {"every": "1s", "command": [sys.executable, "-c", code], "prompt": "{{ item }}"}
    site = Site(short_tmp, {"pollers": {"issues": entry}})
    runs = short_tmp / "runs"

    def pids() -> list[list[int]]:
        lines = runs.read_text().splitlines() if runs.exists() else []
        return [[int(pid) for pid in line.split()] for line in lines]

    try:
        site.start("redis")
        site.start("poll", "issues")
        wait_until(lambda: len(pids()) == 1, what="the program runs")
        assert [pid for pid in pids()[0] if is_alive(pid)] == pids()[0]
        site.kill("poll-issues")
        wait_until(lambda: not any(map(is_alive, pids()[0])), 5, what="it went with its poller")
        site.start("poll", "issues")
        wait_until(lambda: len(pids()) == 2, what="the next poller runs its own")
    finally:
        site.close()
    assert not any(is_alive(pid) for pid in pids()[-1])


def is_alive(pid: int) -> bool:
    """Whether a process still does something: one that nobody has waited for does not."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
