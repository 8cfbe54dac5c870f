"""The rows of `list` and `status`: what a task is about, and why it is where it is."""

from __future__ import annotations

import pytest

from cli.look import rows
from durable.records import Record, State

LONG = "Summarise every report of the last quarter for the board"


@pytest.mark.parametrize(
    ("state", "reason", "last"),
    [
        (State.RUNNING, "Baton was stopping", LONG),
        (State.SUCCEEDED, "", LONG),
        (State.SUCCEEDED, "its work is on branch b", f"{LONG} (its work is on branch b)"),
        (State.FAILED, "it said no", "it said no"),
        (State.HELD, "not known", "not known"),
    ],
)
def test_a_row_says_what_a_task_is_about_or_why_it_ended_so(
    state: State, reason: str, last: str
) -> None:
    record = Record(id="a", state=state, name=LONG, reason=reason)
    assert rows([record], 0).splitlines()[1].endswith(last)
