"""What becomes of news and conditions: one message per incident and one when it is over, storms gathered."""

from __future__ import annotations

from itertools import count
from typing import Any, get_args

import pytest

from alerts.ledger import MOST_OPEN, MOST_WAITING, Ledger
from alerts.messages import NAMED, Condition, Message, payload
from alerts.times import GROUP_MS
from durable.alerting import Board, News
from settings.types import AlertKind

KINDS = get_args(AlertKind)
NOW = 1_000_000


def ledger(board: Board | None = None, kinds: Any = KINDS) -> Ledger:
    numbers = count(1)
    return Ledger(board or Board("0", {}, {}, {}), kinds, lambda: f"i{next(numbers)}")


def written(book: Ledger, before: Board | None = None) -> Board:
    """What stands in Redis when the changes are written."""
    board = before or Board("0", {}, {}, {})
    for where, field, value in book.changes():
        fields = getattr(board, where)
        if value:
            fields[field] = value
        else:
            fields.pop(field, None)
    return board


def failed(task_id: str, source: str = "cli", at_ms: int = NOW, what: str = "failed") -> News:
    return News(what=what, id=task_id, source=source, outcome="denied", why="no Bash", at_ms=at_ms)


def back(task_id: str, what: str = "failed") -> News:
    return News(what=f"no longer {what}", id=task_id, source="cli")


def send_all(book: Ledger, now: int) -> list[Message]:
    found = []
    while message := book.due(now):
        book.begin(message)
        book.done(message)
        found.append(message)
    return found


def gate(key: str = "gate|all|pause|1", *, weak: bool = False) -> Condition:
    return Condition(
        key=key, kind="gate", subject="gate:pause", text="closed", since_ms=NOW, weak=weak
    )


def said(messages: list[Message]) -> list[str]:
    return [payload(m, "baton", NOW)["text"] for m in messages]


def test_the_first_failure_of_a_source_goes_out_at_once_and_a_storm_in_one_message_a_minute() -> (
    None
):
    book = ledger()
    book.take([failed("first")], NOW)
    assert said(send_all(book, NOW)) == [
        "baton: a task of cli failed: denied: no Bash (first)",
    ]
    book.take([failed(f"t{n}") for n in range(500)], NOW + 1)
    assert send_all(book, NOW + GROUP_MS - 1) == []
    [storm] = send_all(book, NOW + GROUP_MS)
    assert storm.count == 500
    assert len(storm.tasks) == NAMED
    assert "500 tasks of cli failed" in said([storm])[0]


def test_sources_do_not_wait_for_one_another() -> None:
    book = ledger()
    book.take([failed("a"), failed("b", "watcher:inbox"), failed("c", what="held")], NOW)
    assert len(send_all(book, NOW)) == 3


def test_what_is_being_sent_takes_nothing_in_any_more() -> None:
    book = ledger()
    book.take([failed("a")], NOW)
    begun = book.due(NOW)
    assert begun is not None
    book.begin(begun)
    book.take([failed("b")], NOW + 1)
    assert [task.id for task in begun.tasks] == ["a"]
    assert book.due(NOW + GROUP_MS) is begun  # until it is done, nothing else goes out
    book.done(begun)
    assert [[t.id for t in m.tasks] for m in send_all(book, NOW + GROUP_MS)] == [["b"]]


def test_an_incident_of_tasks_is_over_with_the_last_of_them() -> None:
    book = ledger()
    book.take([failed("a"), failed("b")], NOW)
    [opened] = send_all(book, NOW)
    book.take([back("a")], NOW)
    assert send_all(book, NOW) == []
    book.take([back("b")], NOW)
    [over] = send_all(book, NOW)
    assert (over.state, over.incident) == ("over", opened.incident)
    assert said([over]) == ["baton: over: none of the 2 tasks of cli is failed any more"]
    assert book.incidents == {}


def test_of_tasks_that_a_storm_did_not_name_nothing_is_claimed() -> None:
    book = ledger()
    book.take([failed(f"t{n}") for n in range(NAMED + 1)], NOW)
    send_all(book, NOW)
    book.take([back(f"t{n}") for n in range(NAMED)], NOW)
    text = "baton: over: none of the first 100 of 101 tasks of cli is failed any more"
    assert said(send_all(book, NOW)) == [text]


def test_a_record_that_was_pruned_ends_its_incident_without_a_word() -> None:
    book = ledger()
    book.take([failed("a")], NOW)
    send_all(book, NOW)
    book.take([back("a")], NOW, gone={"a"})
    assert send_all(book, NOW) == []
    assert book.incidents == {}


def test_an_end_never_overtakes_its_beginning() -> None:
    book = ledger()
    book.take([failed("a")], NOW)
    send_all(book, NOW)
    book.take([failed("b"), back("b")], NOW + 1)
    assert send_all(book, NOW + 2) == []
    states = [m.state for m in send_all(book, NOW + GROUP_MS)]
    assert states == ["opened", "over"]


def test_a_task_that_fails_again_before_the_first_failure_was_told_is_an_incident_of_its_own() -> (
    None
):
    book = ledger()
    book.take([failed("a")], NOW)
    send_all(book, NOW)
    book.take([failed("b"), failed("c"), back("b"), back("c")], NOW + 1)
    book.take([failed("b")], NOW + 2)
    assert send_all(book, NOW + 3) == []
    told = send_all(book, NOW + GROUP_MS)
    assert [(m.state, [t.id for t in m.tasks]) for m in told] == [
        ("opened", ["b", "c"]),
        ("over", []),
        ("opened", ["b"]),
    ]
    assert [i.tasks for i in book.incidents.values()] == [["a"], ["b"]]


def test_an_incident_says_what_is_the_matter_while_it_is_open() -> None:
    book = ledger()
    book.take([failed("a"), failed("b")], NOW)
    [incident] = book.incidents.values()
    assert incident.text == "2 tasks of cli failed; the first: denied: no Bash"


def test_a_condition_is_told_once_and_when_it_is_over() -> None:
    book = ledger()
    for _ in range(3):
        book.stand([gate()], NOW)
    [opened] = send_all(book, NOW)
    book.stand([], NOW)
    [over] = send_all(book, NOW)
    assert (opened.state, over.state) == ("opened", "over")
    assert opened.incident == over.incident
    book.stand([gate()], NOW)
    assert send_all(book, NOW)[0].incident != opened.incident


def test_what_may_be_over_opens_nothing_and_ends_nothing() -> None:
    book = ledger()
    book.stand([gate(weak=True)], NOW)
    assert book.incidents == {}
    book.stand([gate()], NOW)
    book.stand([gate(weak=True)], NOW)
    assert [m.state for m in send_all(book, NOW)] == ["opened"]


def test_a_schedule_is_told_of_once_until_it_is_on_time_again() -> None:
    book = ledger()
    tick = News(what="late", source="schedule:nightly", about="T1", why="90 s after its time")
    book.take([tick, News(what="skipped", source="schedule:nightly", about="T2", why="busy")], NOW)
    [opened] = send_all(book, NOW)
    assert "the tick of nightly of T1, ran late: 90 s after its time" in said([opened])[0]
    [incident] = book.late_schedules()
    book.on_time(incident, NOW)
    [over] = send_all(book, NOW)
    assert said([over]) == ["baton: over: nightly is on time again; 2 ticks were not"]


def test_only_what_is_asked_for_is_told() -> None:
    book = ledger(kinds=("held",))
    tick = News(what="late", source="schedule:nightly", about="T1")
    book.take([failed("a"), tick, failed("b", what="held")], NOW)
    book.stand([gate()], NOW)
    book.note("failed", "more", NOW)
    assert [m.kind for m in send_all(book, NOW)] == ["held"]


def test_what_is_no_longer_asked_for_ends_without_a_word() -> None:
    book = ledger()
    book.stand([gate()], NOW)
    send_all(book, NOW)
    after = ledger(written(book), kinds=("failed",))
    after.stand([gate()], NOW)
    assert send_all(after, NOW) == []
    assert after.incidents == {}


def test_a_channel_that_is_away_for_days_costs_a_bounded_number_of_messages() -> None:
    book = ledger()
    for number in range(MOST_WAITING + 30):
        book.stand([gate(f"gate|all|pause|{number}")], NOW)  # ends the one before, too
    assert len(book.outbox) == MOST_WAITING
    sent = send_all(book, NOW)
    assert sum(m.dropped for m in sent) == 2 * (MOST_WAITING + 30) - 1 - MOST_WAITING
    assert [m.seq for m in sent] == sorted(m.seq for m in sent)


def test_incidents_that_nobody_ends_are_forgotten_at_last() -> None:
    book = ledger()
    for number in range(MOST_OPEN + 10):
        book.take([failed(f"t{number}")], NOW + number)
        send_all(book, 10**12)
    assert len(book.incidents) == MOST_OPEN


def test_another_process_goes_on_where_the_one_before_was_killed() -> None:
    book = ledger()
    book.take([failed("a")], NOW)
    book.stand([gate()], NOW)
    first = book.due(NOW)
    assert first is not None
    book.begin(first)
    board = written(book)
    after = ledger(board)
    assert after.due(NOW) == first
    assert after.incidents == book.incidents
    assert said(send_all(after, NOW)) == said(send_all(book, NOW))
    assert written(after, board).outbox == {}


@pytest.mark.parametrize("number", [1, 2])
def test_the_payload_is_documented_and_says_what_to_do(number: int) -> None:
    book = ledger()
    book.take([failed(f"t{n}", "watcher:inbox") for n in range(number)], NOW)
    [message] = send_all(book, NOW)
    remedy = (
        "./baton show t0" if number == 1 else "./baton list --state failed --source watcher:inbox"
    )
    assert payload(message, "baton", NOW) == {
        "version": 1,
        "instance": "baton",
        "incident": "i1",
        "state": "opened",
        "kind": "failed",
        "subject": "watcher:inbox",
        "text": payload(message, "baton", NOW)["text"],
        "since": "1970-01-01T00:16:40Z",
        "sent": "1970-01-01T00:16:40Z",
        "host": "",
        "count": number,
        "tasks": [{"id": f"t{n}", "outcome": "denied", "reason": "no Bash"} for n in range(number)],
        "remedy": remedy,
        "dropped": 0,
    }


def test_what_cannot_be_read_is_told_and_removed_and_all_else_goes_on() -> None:
    book = ledger()
    book.take([failed("a")], NOW)
    board = written(book)
    board.incidents.update({"cut": b'{"id": "i', "odd": board.incidents["failed|cli|i1"]})
    board.outbox.update({"7": b"{}", "x": b"[]", "8": board.outbox["1"]})
    after = ledger(board)
    unreadable = News(what="unreadable", why="no JSON: [[[")
    after.take([unreadable, failed("b", "watcher:inbox"), back("a")], NOW)
    board = written(after, board)
    assert set(board.incidents) == {"failed|watcher:inbox|i2"}
    told = [(m.kind, m.state) for m in send_all(after, NOW)]
    lost = ("process", "opened")
    assert sorted(told) == sorted([*[lost] * 6, *[("failed", "opened")] * 2, ("failed", "over")])
    assert written(after, board).outbox == {}
    assert ledger(board).changes() == []


def test_news_that_are_a_mistake_of_ours_stop_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    book = ledger()

    def mistaken(news: News, now: int) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(book, "_tick", mistaken)
    book.take([News(what="late", source="schedule:nightly", about="T1"), failed("a")], NOW)
    texts = said(send_all(book, NOW))
    assert "news of schedule:nightly  (late): ZeroDivisionError()" in texts[0]
    assert "a task of cli failed" in texts[1]
