"""The table of tasks: what its last column says of a task."""

from cli.look import rows
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
