"""What `down --drain` says while it waits."""

from cli.waiting import news
from durable.records import Record, State


def running(task_id: str, source: str = "cli", started_ms: int = 1_000) -> Record:
    return Record(id=task_id, state=State.RUNNING, source=source, started_ms=started_ms)


def said(before: list[Record], now: list[Record]) -> list[str]:
    one, other = ({r.id: r for r in found} for found in (before, now))
    return news(one, other, lambda task_id: "succeeded", 66_000)


def test_who_runs_is_named_once_and_then_each_that_ends() -> None:
    a, b = running("aaaaaaaa-1", "watcher:in\x1b"), running("bbbbbbbb-2")
    assert said([], [a, b]) == [
        "Waiting for 2 running tasks to end; Ctrl-C lets all go on.",
        "  aaaaaaaa  watcher:in\\x1b  runs for 1m05s",
        "  bbbbbbbb  cli  runs for 1m05s",
    ]
    assert said([a, b], [a, b]) == []
    assert said([a, b], [b]) == ["  aaaaaaaa  succeeded after 1m05s; 1 left"]
    assert said([b], []) == ["  bbbbbbbb  succeeded after 1m05s; 0 left"]


def test_where_nothing_runs_nothing_is_said() -> None:
    assert said([], []) == []
