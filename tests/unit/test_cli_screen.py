"""What of `status` is left out where the terminal is small, and that nothing is wider or higher than it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from cli import terminal
from cli.hosts import Hosts
from cli.instance import Instance, Queue, Run, Tick
from cli.missing import Notice
from cli.screen import Block, fitted, lines
from durable.codec import dumps
from durable.costs import Today
from durable.records import GateEntry, Newer, Record, State
from durable.standing import Problem
from tests.unit.test_housekeeper import settings_in

NOW_MS = 1_800_000_000_000
WIDE = "日本語のとても長いプロンプト、端末の幅を越えるまで続く文章です。" * 3


def app(name: str, state: str = "ready") -> dict[str, Any]:
    return {
        "name": name,
        "state": state,
        "reason": "" if state == "ready" else "it says why, and at some length " * 5,
        "pid": 4_194_304,
        "memory_bytes": 43_000_000,
        "started_ms": 1,
        "restarts": 0,
    }


def record(task_id: str, state: State) -> Record:
    return Record(
        id=task_id * 8,
        state=state,
        kind="claude",
        source="watcher:an-inbox-with-a-long-name",
        attempt=1,
        created_ms=NOW_MS - 5_000_000,
        started_ms=NOW_MS - 100_000,
        finished_ms=NOW_MS,
        body=dumps({"args": [WIDE]}),
    )


def instance(folder: Path, *, running: int = 3, sources: int = 6, alarms: int = 1) -> Instance:
    names = [f"watcher:folder-{n}" for n in range(sources)]
    entry = GateEntry(
        scope="all", reason="pause", since_ms=1, until_ms=None, by="me", why="moving house " * 9
    )
    problem = Problem(subject="watcher:x", host="h", text=f"gone: {WIDE}", since_ms=1, seen_ms=1)
    tasks = Queue(
        gate=[entry] * alarms,
        problems=[problem] * alarms,
        counts=dict.fromkeys(State, 7),
        sources={name: dict.fromkeys(State, 1) for name in names},
        running=[
            Run(record(f"{n}", State.RUNNING), NOW_MS / 1000 - 3, 1.25) for n in range(running)
        ],
        recent=[record(f"e{n}", State.FAILED) for n in range(5)],
        hosts=Hosts([], {}, NOW_MS),
        today=Today(usd=1.0, tokens=5, reserved_usd=0.0, reserved_tokens=0),
        now_ms=NOW_MS,
        newer=Newer(0, 0),
    )
    return Instance(
        settings=settings_in(folder, budget_usd_per_day=20.0),
        apps=[*(app(f"baton-watch-folder-{n}") for n in range(8)), app("baton-redis", "errored")],
        tasks=tasks,
        missing=[Notice("Claude is not logged in; its tasks wait.", "./baton login")] * alarms,
        ticks=[Tick(f"schedule-{n}", NOW_MS) for n in range(5)],
        producers=[schedule_row(f"schedule:schedule-{n}") for n in range(5)],
        claude={
            "path": "/c",
            "version": "2",
            "found_by": "PATH",
            "billed": "x",
            "not_passed_on": [],
        },
    )


def schedule_row(source: str) -> dict[str, Any]:
    row = {"source": source, "when": "0 9 * * 1", "next_at": NOW_MS / 1000, "running": True}
    return row | {"last": {"said": "09:00:00  run on time: task 01234567"}}


@pytest.fixture(params=[(80, 24), (80, 23), (60, 20), (120, 50), (200, 10), (40, 24)])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    width, height = request.param
    monkeypatch.setattr(terminal, "columns", lambda: width)
    return width, height


def test_a_screen_is_never_wider_nor_higher_than_the_terminal(
    size: tuple[int, int], tmp_path: Path
) -> None:
    for running, sources, alarms in itertools.product((0, 3, 40), (0, 6), (0, 1, 9)):
        made = instance(tmp_path, running=running, sources=sources, alarms=alarms)
        found = lines(made, *size)
        assert len(found) <= size[1]
        assert not [line for line in found if "\n" in line]
        assert max(map(terminal.breadth, found)) <= size[0]


def test_on_a_usual_terminal_nothing_that_matters_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "columns", lambda: 80)
    text = "\n".join(lines(instance(tmp_path), 80, 24))
    for word in ("gate closed", "watcher:x", "not logged in", "baton-redis", "errored"):
        assert word in text
    for word in ("Tasks: ", "Today: $1.00 of $20.00", "Next: schedule-0", "2 more (./baton sch"):
        assert word in text
    assert "00000000" in text  # what runs …
    assert "e0e0e0e0" not in text  # … is worth more than what has ended


def test_nothing_is_cut_where_nobody_looks(tmp_path: Path) -> None:
    text = "\n".join(lines(instance(tmp_path, running=40)))
    assert text.count("watcher:an-inbox-with-a-long-name") == 45
    assert "more" not in text.replace("2 more (./baton schedules)", "")
    assert "\x1b" not in text


def blocks() -> list[Block]:
    return [
        Block(["title"], rank=0, least=1),
        Block(["HEAD", "a", "b", "c"], rank=1, least=2, more="list"),
        Block(["HEAD", "x", "y"], rank=2),
    ]


@pytest.mark.parametrize(
    ("height", "expected"),
    [
        (None, ["title", "", "HEAD", "a", "b", "c", "", "HEAD", "x", "y"]),
        (10, ["title", "", "HEAD", "a", "b", "c", "", "HEAD", "x", "y"]),
        (7, ["title", "", "HEAD", "a", "b", "c", "… 3 more lines: ./baton status"]),
        (6, ["title", "", "HEAD", "a", "… 2 more: list", "… 5 more lines: ./baton status"]),
        (3, ["title", "", "… 7 more lines: ./baton status"]),
    ],
)
def test_the_least_important_goes_first_and_says_so(
    height: int | None, expected: list[str]
) -> None:
    assert fitted(blocks(), height) == expected


def test_where_one_can_scroll_all_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "columns", lambda: 80)
    found = lines(instance(tmp_path, running=40), 80)
    assert "\n".join(found).count("watcher:an-inbox") == 45
    for word in ("PRODUCER", "e0e0e0e0", "Claude 2 (PATH: /c), billed to", "→ ./baton unpause"):
        assert word in "\n".join(found)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 20), (120, 24), (40, 24)])
def test_of_a_closed_gate_nothing_is_cut(
    width: int, height: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "columns", lambda: width)
    text = " ".join(line.strip() for line in lines(instance(tmp_path), width, height))
    assert ("moving house " * 9).strip() in text
    assert "→ ./baton unpause" in text


def test_how_many_lines_are_missing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "columns", lambda: 80)
    made = instance(tmp_path, alarms=0)
    *shown, last = lines(made, 80, 24)
    whole = lines(made, 80)
    assert "PRODUCER" not in "\n".join(shown)
    theirs = [line for line in shown if line and not line.startswith("… ")]
    assert last == f"… {len(list(filter(None, whole))) - len(theirs)} more lines: ./baton status"
