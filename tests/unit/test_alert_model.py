"""Alerts in whatever order tasks fail, come back and are told: nothing is lost, said twice or left open."""

from __future__ import annotations

from itertools import count
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.ledger import Ledger
from alerts.messages import Message
from alerts.times import GROUP_MS
from durable.alerting import Board, News

TASKS = ("a", "b", "c", "d")
KINDS = ("failed", "held")

#: A look at some transitions of tasks, a while without any, a delivery, and a kill at any point of one.
STEPS = st.one_of(
    st.tuples(st.just("look"), st.lists(st.sampled_from("abcdABCD"), min_size=1, max_size=4)),
    st.tuples(st.just("prune"), st.sampled_from(TASKS)),
    st.tuples(st.just("wait"), st.sampled_from([1, GROUP_MS // 2, GROUP_MS])),
    st.tuples(st.sampled_from(["send", "send", "begin and be killed", "be killed"]), st.just("")),
)


class Run:
    """A ledger with what is in Redis, in which state each task is, and all that was delivered."""

    def __init__(self) -> None:
        self.board = Board("0", {}, {}, {})
        self.now = 1_000_000
        self.state = dict.fromkeys(TASKS, "")
        self.troubles = 0
        self.told: dict[tuple[str, str], Message] = {}
        numbers = count(1)
        self.new_id = lambda: f"i{next(numbers)}"
        self.book = self.read()

    def read(self) -> Ledger:
        return Ledger(self.board, KINDS, self.new_id)

    def write(self) -> None:
        for where, field, value in self.book.changes():
            fields: dict[str, Any] = getattr(self.board, where)
            fields.pop(field, None)
            if value:
                fields[field] = value

    def step(self, what: str, more: Any) -> None:
        """Do one of STEPS."""
        if what == "look":
            self.look([self.move(task.lower(), KINDS[task.isupper()]) for task in more])
        elif what == "prune" and self.state[more]:
            self.look([self.move(more, "")], gone={more})
        elif what == "wait":
            self.now += more
        elif what in ("send", "begin and be killed"):
            self.send(ends=what == "send")
        if what.endswith("killed"):
            self.book = self.read()

    def move(self, task: str, kind: str) -> News:
        """A task that is in trouble comes back, another comes into it."""
        before, self.state[task] = self.state[task], "" if self.state[task] else kind
        what = f"no longer {before}" if before else kind
        self.troubles += not before
        source = "one" if task < "c" else "two"
        return News(what=what, id=task, source=source, outcome="denied", why="no", at_ms=self.now)

    def look(self, news: list[News], gone: Any = ()) -> None:
        self.book.take(news, self.now, gone)
        self.write()

    def send(self, *, ends: bool) -> bool:
        message = self.book.due(self.now)
        if message is None:
            return False
        self.book.begin(message)
        self.write()
        again = self.told.setdefault((message.incident, message.state), message)
        assert again == message, "what is sent again is the same"
        if ends:
            self.book.done(message)
            self.write()
        return True

    def states_of(self, incident: str) -> list[str]:
        return [m.state for m in self.told.values() if m.incident == incident]


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, min_size=10, max_size=30))
def test_every_trouble_is_in_one_message_and_every_end_follows_its_beginning(
    steps: list[tuple[str, Any]],
) -> None:
    run = Run()
    for what, more in steps:
        run.step(what, more)
        assert run.book.incidents == run.read().incidents
        in_trouble = [task for incident in run.book.incidents.values() for task in incident.tasks]
        assert sorted(in_trouble) == sorted(task for task, state in run.state.items() if state)
        assert all(incident.text for incident in run.book.incidents.values())
    run.look([run.move(task, "") for task, state in run.state.items() if state])
    for _ in range(len(run.book.outbox)):
        run.now += GROUP_MS
        run.send(ends=True)
    while run.send(ends=True):
        pass
    assert run.board.incidents == run.board.outbox == {}
    assert sum(m.count for m in run.told.values() if m.state == "opened") == run.troubles
    for incident in {m.incident for m in run.told.values()}:
        assert run.states_of(incident) in (["opened"], ["opened", "over"])
