"""What a task's result says of itself."""

from durable.results import TaskFailed


def test_a_failed_task_shows_how_it_ended_in_a_list_of_results() -> None:
    failed = TaskFailed({"outcome": "denied", "error": "not allowed to use Bash."})
    assert repr(failed) == "TaskFailed('denied: not allowed to use Bash.')"
