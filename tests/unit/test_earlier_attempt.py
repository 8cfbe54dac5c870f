"""An attempt whose consumer died between its good end and the settle is settled, not paid for again."""

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from consumers import folder as folders
from consumers.attempt import Runs
from consumers.heartbeat import Heartbeat
from durable import effects
from durable.effects import Effects
from durable.records import Lease, Nothing, State
from durable.settlement import settlement_of
from durable.store import LeaseStore
from durable.verdicts import GiveBack
from durable.wire import STARTS_CAP
from tests.conftest import ROOT
from tests.unit.leasing import claim, sub
from tests.unit.test_housekeeper import settings_in

SUCCESS = ROOT / "tests" / "data" / "streams" / "success.jsonl"


class AwayStore:
    """A store whose server is away."""

    def __getattr__(self, name: str) -> Any:
        raise redis.ConnectionError("away")


def runs_in(folder: Path, **more: Any) -> Runs:
    found = settings_in(folder, **more)
    return Runs(found, AwayStore(), None, threading.Event())  # type: ignore[arg-type]  # not reached


def ended(folder: Path, number: int, token: int, stream: Path = SUCCESS) -> None:
    """The folder of an attempt that came to an end."""
    own = folder / "var" / "attempts" / "task" / str(number)
    own.mkdir(parents=True)
    shutil.copy(stream, own / "stream.jsonl")
    facts = {"token": token, "socket": str(own / "s"), "marker": "task/1", "tmpdir": str(own / "t")}
    (own / "command.json").write_text(json.dumps(facts))
    (own / "exit.json").write_text(json.dumps({"exit_code": 0}))


def lease(attempt_number: int, settled_token: int = 0) -> Lease:
    return Lease(
        id="task",
        token=99,
        attempt=attempt_number,
        counted=0,
        body=b"",
        kind="claude",
        source="",
        name="",
        queue="default",
        settled_token=settled_token,
        outcome="interrupted" if attempt_number > 1 else "",
    )


@pytest.mark.parametrize("number", [2, 3, 5])
def test_the_newest_run_that_ended_well_is_taken_however_often_its_owner_died(
    tmp_path: Path, number: int
) -> None:
    ended(tmp_path, 1, token=7)
    found = runs_in(tmp_path)._earlier(Effects(lease(number)), {})
    assert found is not None
    assert found[0].outcome.value == "succeeded"


def test_a_run_whose_end_was_written_is_not_taken_again(tmp_path: Path) -> None:
    ended(tmp_path, 1, token=7)
    assert runs_in(tmp_path)._earlier(Effects(lease(2, settled_token=7)), {}) is None


def test_the_end_of_a_run_that_was_taken_over_is_known_by_its_new_token(tmp_path: Path) -> None:
    """What was settled may be no success all the same: a command that verifies may have said no."""
    ended(tmp_path, 1, token=7)
    folders.note_token(tmp_path / "var" / "attempts" / "task" / "1", 12)
    assert runs_in(tmp_path)._earlier(Effects(lease(2, settled_token=12)), {}) is None
    assert runs_in(tmp_path)._earlier(Effects(lease(2, settled_token=7)), {})


def test_a_run_that_did_not_end_well_is_not_taken(tmp_path: Path) -> None:
    ended(tmp_path, 1, token=7)
    ended(tmp_path, 2, token=8, stream=SUCCESS.with_name("sigterm.jsonl"))
    assert runs_in(tmp_path)._earlier(Effects(lease(3)), {}) is None


def test_a_redis_that_is_away_before_the_start_costs_no_attempt(tmp_path: Path) -> None:
    """Here it is to be told that there is no claude; what was not started did not fail."""
    running = effects.begin(lease(1))
    try:
        with pytest.raises(GiveBack, match="before the start"):
            runs_in(tmp_path, claude_command="/nowhere").attempt(object(), "prompt", {}, {})
    finally:
        effects.end()
    assert running.costs == []


def test_a_person_who_begins_afresh_gets_a_new_run(tmp_path: Path) -> None:
    """The end of the run was never written, but the task was cancelled and sent back without its past."""
    ended(tmp_path, 1, token=7)
    afresh = msgspec.structs.replace(lease(2), outcome="")
    assert runs_in(tmp_path)._earlier(Effects(afresh), {}) is None


def test_a_claude_that_refuses_every_session_is_not_asked_for_ever(
    tmp_path: Path, store: LeaseStore
) -> None:
    """To begin afresh costs no attempt, but each start counts towards the most that a task gets."""
    nothing = tmp_path / "nothing"
    nothing.touch()
    store.submit([sub("task", kind="claude")])
    for number in range(1, STARTS_CAP + 1):
        ended(tmp_path, number, token=99, stream=nothing)
        own = tmp_path / "var" / "attempts" / "task" / str(number)
        facts = json.loads((own / "command.json").read_text()) | {"argv": ["/claude"]}
        (own / "command.json").write_text(json.dumps(facts))
        (own / "exit.json").write_text(json.dumps({"exit_code": 1}))
        (own / "stderr.log").write_text("Error: Session ID x is already in use.")
        running = Effects(claim(store, str(number)))
        runs = runs_in(tmp_path)
        runs.heartbeat = Heartbeat(store, "here:me")
        runs.heartbeat.hold(running.lease)
        with pytest.raises(GiveBack, match="begins afresh") as said:
            runs._adopted(running, {})
        running.exception = said.value
        assert settlement_of(running).settle(store)
    assert isinstance(store.claim("me", "last", ("default",), 1000), Nothing)
    record = store.record("task")
    assert record is not None
    assert (record.state, record.counted) == (State.HELD, 0)
