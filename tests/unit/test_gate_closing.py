"""Closing the gate: once for all who meet the same reason, again by a probe that fails, and for how long."""

import json
import logging
from typing import Any

import pytest

from consumers import closing
from durable.records import Looks, State
from durable.remedies import remedy
from durable.store import LeaseStore
from tests.unit.leasing import claim, nothing, sub

USUAL = "claude:default"
LOOKS = Looks(300_000)


def close(store: LeaseStore, reason: str = "login", **more: Any) -> bool:
    facts: dict[str, Any] = {"by": "somebody", "why": "refused", "looks": LOOKS}
    return store.close_gate(USUAL, reason, **(facts | more)).is_new


def happened(store: LeaseStore, event: str) -> list[dict[str, str]]:
    rows: Any = store.client.xrange(store.prefix + "events")
    found = [{k.decode(): v.decode() for k, v in fields.items()} for _, fields in rows]
    return [row for row in found if row["event"] == event]


def time_is_over(store: LeaseStore, reason: str = "login") -> None:
    """Nobody waits for five minutes."""
    store.client.zadd(store.prefix + "gate", {f"{USUAL}|{reason}": store.now_ms() - 1})


def left_ms(store: LeaseStore) -> int:
    [entry] = store.gate()
    assert entry.until_ms is not None
    return entry.until_ms - store.now_ms()


def test_of_many_who_meet_the_same_limit_one_closes_the_gate(store: LeaseStore) -> None:
    reset = store.now_ms() + 3_600_000
    new = [close(store, "usage limit", by=f"task {n}", until_ms=reset) for n in range(5)]
    assert new == [True, False, False, False, False]
    [event] = happened(store, "gate closed")
    assert event["detail"] == f"{USUAL}|usage limit"
    assert json.loads(event["info"]) == {"by": "task 0", "why": "refused"}
    assert int(event["until_ms"]) == store.gate()[0].until_ms


def test_what_closes_again_after_it_was_opened_is_a_new_closing(store: LeaseStore) -> None:
    assert close(store)
    store.open_gate("login")
    assert close(store)
    assert len(happened(store, "gate closed")) == 2


def test_the_end_of_a_limit_has_a_little_jitter_of_the_gate_s_own(store: LeaseStore) -> None:
    reset = store.now_ms() + 3_600_000
    close(store, "usage limit", until_ms=reset)
    first = store.gate()[0].until_ms
    assert first is not None
    assert reset <= first <= reset + 60_000
    for _ in range(5):
        close(store, "usage limit", until_ms=reset)
    assert store.gate()[0].until_ms == first


def test_a_limit_that_claims_to_be_over_is_not_tried_at_once(store: LeaseStore) -> None:
    close(store, "usage limit", until_ms=store.now_ms() - 5_000, looks=Looks(30_000))
    assert 23_000 < left_ms(store) <= 36_000


def test_a_lost_login_is_tried_now_and_then_ever_more_rarely_and_is_one_closing(
    store: LeaseStore,
) -> None:
    store.submit([sub("a", kind="claude"), sub("b", kind="claude")])
    close(store)
    since = store.gate()[0].since_ms
    for tries, minutes in enumerate([5, 10, 20, 40, 60, 60]):
        assert minutes * 60_000 * 0.79 < left_ms(store) <= minutes * 60_000 * 1.21
        assert (store.gate()[0].tries, store.gate()[0].since_ms) == (tries, since)
        time_is_over(store)
        probe = claim(store, str(tries))
        assert probe.probe
        assert nothing(store, "other", "other").kept_back == "gate"
        assert not close(store, by=probe.id, why="still refused")
        assert not close(store, by=probe.id, why="a repeat after a lost reply")
        store.release(probe.id, probe.token, outcome="auth", reason="")
    assert len(happened(store, "gate closed")) == 1
    assert store.gate()[0].why == "still refused"
    time_is_over(store)
    assert store.alive(claim(store, "last")) == 1
    assert store.gate() == []
    assert close(store)
    assert store.gate()[0].tries == 0


def test_who_reports_late_does_not_close_a_gate_whose_probe_is_at_work(store: LeaseStore) -> None:
    store.submit([sub("a", kind="claude"), sub("b", kind="claude")])
    close(store)
    time_is_over(store)
    probe = claim(store, "1")
    assert not close(store, by="began before the probe")
    assert store.alive(probe) == 1
    assert claim(store, "2").id == "b"


def test_a_pause_outlives_the_limit_that_it_was_set_beside(store: LeaseStore) -> None:
    store.submit([sub("a", kind="claude"), sub("p")])
    close(store, "usage limit", until_ms=store.now_ms() + 60_000)
    store.close_gate("all", "pause", by="me", why="holiday")
    time_is_over(store, "usage limit")
    assert nothing(store).kept_back == "gate"
    store.open_gate("pause")
    assert claim(store, "2").probe
    store.close_gate("all", "pause", by="me", why="again")
    assert [entry.reason for entry in store.gate()] == ["usage limit", "pause"]


def test_a_credential_that_is_closed_for_two_reasons_opens_when_both_are_over(
    store: LeaseStore,
) -> None:
    store.submit([sub("a", kind="claude")])
    close(store, "login")
    close(store, "usage limit", until_ms=store.now_ms() + 60_000)
    time_is_over(store, "usage limit")
    assert nothing(store).kept_back == "gate"
    time_is_over(store, "login")
    assert store.alive(claim(store, "1")) == 2


def test_a_probe_that_is_settled_by_an_error_of_its_own_leaves_the_right_to_the_next(
    store: LeaseStore,
) -> None:
    store.submit([sub("a", kind="claude"), sub("b", kind="claude")])
    close(store)
    time_is_over(store)
    store.settle(claim(store, "1"), State.FAILED, outcome="rejected")
    assert claim(store, "2").probe


def test_one_closing_is_one_line_in_the_log_that_says_what_to_do(
    store: LeaseStore, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        for number in range(3):
            closing.close(
                *(store, "claude:api_key", "login"),
                by=str(number),
                why="It is refused.",
                looks=LOOKS,
                remedy="Replace it.",
            )
    [record] = caplog.records
    assert record.levelname == "ERROR"
    assert record.message.startswith(
        "the gate is closed for Claude tasks that pay by api_key (login) until 20"
    )
    assert record.message.endswith("when one task tries: It is refused. → Replace it.")


def test_what_opens_the_gate_is_said_once_and_as_it_was_found_out(store: LeaseStore) -> None:
    close(store, "login", remedy="Replace it.")
    close(store, "billing")
    said = {entry.reason: remedy(entry) for entry in store.gate()}
    assert said["login"] == "Replace it."
    assert said["billing"].startswith("see to your credit")


def test_a_closing_without_a_time_is_for_a_person() -> None:
    said = closing.sentence("all", "pause", "moving", None, tries=False)
    assert (
        said
        == "the gate is closed for all tasks (pause) until a person opens it: moving → ./baton unpause"
    )
