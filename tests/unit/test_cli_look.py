"""The table of tasks: what its last column says of a task."""

import pytest

from cli import terminal
from cli.look import rows
from durable.codec import dumps
from durable.records import Record, State


def told(state: State) -> str:
    record = Record(
        id="a" * 32, state=state, kind="python", name="mine", reason="Baton was stopping."
    )
    return rows([record], 0)


def test_a_running_task_is_not_told_by_the_end_of_the_attempt_before() -> None:
    assert "Baton was stopping." in told(State.QUEUED)
    assert "Baton was stopping." not in told(State.RUNNING)
    assert "mine" in told(State.RUNNING)


def dropped(prompt: str) -> Record:
    body = dumps({"args": [prompt], "kwargs": {"context": {"name": "report.pdf"}}})
    more = {"state": State.QUEUED, "kind": "claude", "source": "watcher:inbox"}
    return Record(id="a" * 32, body=body, **more)  # type: ignore[arg-type]


def test_a_dropped_file_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "columns", lambda: 80)
    table = rows([dropped("Read the file /a/long/way/.claimed/0123/report.pdf and so on.")], 0, 80)
    assert "report.pdf: R" in table


def test_in_a_pipe_nothing_is_cut() -> None:
    assert rows([dropped("word " * 200)], 0).count("word") == 200
