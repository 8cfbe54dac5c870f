"""What becomes of news and of conditions: incidents that open and end, messages that gather and go out. Pure.

All of it stands in Redis; this is the copy of who is on watch. What changed since it was last written is in
`changes`, which go in together with the news that caused them.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Collection, Iterable, Sequence

import msgspec

from alerts import stored
from alerts.messages import NAMED, Condition, Incident, Message, Named, of_tasks, remedy
from alerts.times import GROUP_MS
from durable.alerting import UNREADABLE, Board, Change, News

log = logging.getLogger(__name__)

#: So many incidents about tasks are followed to their end; older ones are forgotten without a word.
MOST_OPEN = 100
#: So many messages wait for somebody to take them; the oldest go, counted.
MOST_WAITING = 500
_NO_LONGER = "no longer "


def _any_id() -> str:
    return uuid.uuid4().hex[:16]


class Ledger:
    """Incidents by key, messages by number. Times are ms of the server's clock."""

    def __init__(
        self,
        board: Board,
        kinds: Collection[str],
        new_id: Callable[[], str] = _any_id,
    ) -> None:
        self.kinds, self._new_id = kinds, new_id
        self.incidents, self.outbox, self._removals, self._unreadable = stored.read(board)
        self._seq = max(self.outbox, default=0)
        self._touched: dict[tuple[str, str], None] = {}

    # -- what has happened

    def take(self, news: Iterable[News], now: int, gone: Collection[str] = ()) -> None:
        """Take in what transitions noted; `gone` are ids of tasks that have no record any more.

        What cannot be taken in is told as such: it would end every look, and with it all that is to be told.
        """
        for one in news:
            try:
                self._take(one, now, silent=one.id in gone)
            except Exception as error:
                log.exception("cannot be taken in: %s", one)
                self._put_aside(f"news of {one.source} {one.id} ({one.what}): {error!r}", now)
        for words in self._unreadable:
            log.error("put aside: %s", words)
            self._put_aside(words, now)
        self._unreadable = []

    def _take(self, one: News, now: int, *, silent: bool) -> None:
        if one.what == UNREADABLE:
            self._put_aside(one.why, now)
        elif one.what.startswith(_NO_LONGER):
            self._relieve(one, now, silent=silent)
        elif one.about:
            self._tick(one, now)
        else:
            self._trouble(one, now)

    def _put_aside(self, words: str, now: int) -> None:
        self.note(
            "process", f"something to be told of could not be read, and is lost: {words}", now
        )

    def note(self, kind: str, text: str, now: int) -> None:
        """Something to be told that has no end."""
        if kind in self.kinds:
            self._send(
                Incident(
                    id=self._new_id(),
                    key="",
                    kind=kind,
                    subject="",
                    text=text,
                    since_ms=now,
                    due_ms=now,
                )
            )

    def _trouble(self, news: News, now: int) -> None:
        """A task has failed or is held: into the message that is yet to go out, or a new one."""
        if news.what not in self.kinds:
            return
        message = self._gathering(news) or self._group(news, now)
        message.count += 1
        incident = self.incidents[self._key_of(message)]
        incident.count = message.count
        if len(message.tasks) < NAMED:
            message.tasks.append(Named(news.id, news.outcome, news.why))
            incident.tasks.append(news.id)
        message.remedy = remedy(message)
        message.text = incident.text = of_tasks(message)
        self._touch("outbox", str(message.seq))
        self._touch("incidents", incident.key)

    def _waiting(self, news: News) -> list[Message]:
        """The messages about such tasks that are yet to go out."""
        return [
            message
            for message in self.outbox.values()
            if (message.kind, message.subject) == (news.what, news.source)
            and message.state == "opened"
            and not message.taken
        ]

    def _gathering(self, news: News) -> Message | None:
        """The one that takes more in. One whose incident is over already only waits to be sent."""
        still_open = (m for m in self._waiting(news) if self._key_of(m) in self.incidents)
        return next(still_open, None)

    def _group(self, news: News, now: int) -> Message:
        """The first of a source goes out at once, those that follow a minute after the one before.

        One that follows what was over before it was told goes out with it: a task that is sent back and fails again
        and again is to push nothing ahead of itself.
        """
        same = [
            i for i in self.incidents.values() if (i.kind, i.subject) == (news.what, news.source)
        ]
        waiting = (message.due_ms for message in self._waiting(news))
        due = max([now, *waiting, *(incident.due_ms + GROUP_MS for incident in same)])
        new_id = self._new_id()
        incident = Incident(
            id=new_id,
            key=f"{news.what}|{news.source}|{new_id}",
            kind=news.what,
            subject=news.source,
            text="",
            since_ms=news.at_ms or now,
            due_ms=due,
            remedy="",
            count=0,
        )
        if len(same) >= MOST_OPEN:
            self._forget(min(same, key=lambda i: i.due_ms))
        self.incidents[incident.key] = incident
        return self._send(incident)

    def _key_of(self, message: Message) -> str:
        return f"{message.kind}|{message.subject}|{message.incident}"

    def _relieve(self, news: News, now: int, *, silent: bool) -> None:
        for incident in list(self.incidents.values()):
            if news.id not in incident.tasks:
                continue
            incident.tasks.remove(news.id)
            self._touch("incidents", incident.key)
            if not incident.tasks:
                self._end(incident, self._relief(incident), now, silent=silent)

    @staticmethod
    def _relief(incident: Incident) -> str:
        state = "held" if incident.kind == "held" else "failed"
        if incident.count == 1:
            return f"the task of {incident.subject} is no longer {state}"
        which = f"{incident.count} tasks"
        if incident.count > NAMED:  # of the others nobody knows
            which = f"first {NAMED} of {which}"
        return f"none of the {which} of {incident.subject} is {state} any more"

    def _tick(self, news: News, now: int) -> None:
        """A tick came late or not at all: one incident until its schedule is on time again."""
        key = f"tick|{news.source}"
        if "schedule" not in self.kinds:
            return
        if known := self.incidents.get(key):
            known.count += news.count
            self._touch("incidents", key)
            return
        name = news.source.partition(":")[2]
        many = (
            f"{news.count} ticks of {name}, the first of"
            if news.count > 1
            else f"the tick of {name} of"
        )
        came = {"late": "ran late", "failed": "became no task"}.get(news.what, "did not run")
        self.incidents[key] = Incident(
            id=self._new_id(),
            key=key,
            kind="schedule",
            subject=news.source,
            text=f"{many} {news.about}, {came}: {news.why}",
            since_ms=news.at_ms or now,
            due_ms=now,
            remedy=f"./baton why {name}",
            count=news.count,
        )
        self._send(self.incidents[key])

    def late_schedules(self) -> list[Incident]:
        """The schedules that were not on time, of which one asks whether they are again."""
        return [i for i in self.incidents.values() if i.key.startswith("tick|")]

    def on_time(self, incident: Incident, now: int) -> None:
        """Its last tick ran when it was due."""
        name, count = incident.subject.partition(":")[2], incident.count
        many = "1 tick was" if count == 1 else f"{count} ticks were"
        self._end(incident, f"{name} is on time again; {many} not", now)

    # -- what stands

    def stand(self, conditions: Sequence[Condition], now: int) -> None:
        """Open what is new, end what is not there any more."""
        found = {c.key: c for c in conditions if c.kind in self.kinds}
        for incident in list(self.incidents.values()):
            if incident.stands and incident.key not in found:
                silent = incident.kind not in self.kinds
                self._end(incident, f"{incident.subject}: {incident.over}", now, silent=silent)
        for condition in found.values():
            if condition.key not in self.incidents and not condition.weak:
                self._open(condition, now)

    def _open(self, condition: Condition, now: int) -> None:
        fields = msgspec.structs.asdict(condition)
        fields.pop("weak")
        incident = Incident(id=self._new_id(), due_ms=now, stands=True, **fields)
        self.incidents[incident.key] = incident
        self._send(incident)

    # -- what goes out

    def due(self, now: int) -> Message | None:
        """The next message to send. One that was begun comes first, and nothing overtakes its own beginning."""
        begun: set[str] = set()
        for message in sorted(self.outbox.values(), key=lambda m: (not m.taken, m.seq)):
            if message.incident not in begun and (message.taken or message.due_ms <= now):
                return message
            begun.add(message.incident)
        return None

    def begin(self, message: Message) -> None:
        """From now on nothing is added to it: however often it is sent, it says the same."""
        message.taken = True
        self._touch("outbox", str(message.seq))

    def done(self, message: Message) -> None:
        """It was taken, or nobody ever will."""
        self.outbox.pop(message.seq, None)
        self._touch("outbox", str(message.seq))

    def changes(self) -> list[Change]:
        """What has changed since the last call."""
        found, self._removals = self._removals, []
        for where, field in self._touched:
            held = (
                self.incidents.get(field) if where == "incidents" else self.outbox.get(int(field))
            )
            found.append(Change(where, field, msgspec.json.encode(held) if held else ""))
        self._touched = {}
        return found

    def _end(self, incident: Incident, text: str, now: int, *, silent: bool = False) -> None:
        self._forget(incident)
        if not silent:
            self._send(incident, "over", text, now)

    def _forget(self, incident: Incident) -> None:
        self.incidents.pop(incident.key, None)
        self._touch("incidents", incident.key)

    def _send(
        self, incident: Incident, state: str = "opened", text: str = "", now: int = 0
    ) -> Message:
        self._seq += 1
        message = Message(
            seq=self._seq,
            incident=incident.id,
            state=state,
            kind=incident.kind,
            subject=incident.subject,
            text=text or incident.text,
            since_ms=incident.since_ms,
            due_ms=now or incident.due_ms,
            remedy=incident.remedy if state == "opened" else "",
            host=incident.host,
            count=incident.count,
        )
        self.outbox[message.seq] = message
        self._touch("outbox", str(message.seq))
        if incident.key:
            self._touch("incidents", incident.key)
        self._keep_few()
        return message

    def _keep_few(self) -> None:
        """Nobody takes anything for long: the oldest go, and the next one says how many."""
        waiting = [m for m in self.outbox.values() if not m.taken]
        if len(waiting) > MOST_WAITING:
            oldest, following = waiting[0], waiting[1]
            following.dropped += oldest.dropped + 1
            self.done(oldest)
            self._touch("outbox", str(following.seq))

    def _touch(self, where: str, field: str) -> None:
        self._touched[where, field] = None
