"""What `why` says of a task that a closed gate keeps back."""

import sys
from typing import Any, cast

import pytest

from cli import queue, why
from durable.records import GateEntry, Record, State
from durable.views import Views

ENTRY = GateEntry(
    scope="all", reason="login", since_ms=1, until_ms=None, by="me", why="Claude\nis out"
)


class Gate:
    def gate(self) -> list[GateEntry]:
        return [ENTRY]


def test_a_closed_gate_is_told_without_colours_and_the_remedy_on_a_line_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All that is said of a task is escaped, so nothing in it may be meant for the terminal."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    record = Record(id="a" * 32, state=State.QUEUED, kind="claude", created_ms=1)
    monkeypatch.setattr(queue, "settings", lambda: cast(Any, None))
    [_, closed, remedy] = why.reasons(record, cast(Views, Gate()))
    assert closed.startswith("gate closed for all tasks: login (since ")
    assert remedy.startswith("→ ./baton login")
    assert "\x1b" not in closed + remedy
    assert "\n" not in closed + remedy
