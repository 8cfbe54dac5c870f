"""`./baton why NAME-or-ID`: what became of a source's ticks, files or items, or why a task stands where it does."""

from __future__ import annotations

import argparse
import contextlib
from typing import TYPE_CHECKING

from cli import fates, gate, hosts, problems, queue
from cli.errors import CliError
from cli.look import waits_for
from cli.terminal import moment, paint, print_json, printable, state, wrapped

if TYPE_CHECKING:
    from durable.records import GateEntry, Record, Told
    from durable.views import Views
    from settings import Settings

_SHOWN = 20


def why(args: argparse.Namespace) -> int:
    """Explain a name (a schedule, a watcher, a poller) by its journal, an id by its record."""
    store = queue.views()
    if sources := _sources(store, args.name):
        return _of_sources(store, args, sources)
    record = _task(store, args.name)
    said = reasons(record, store)
    if args.json:
        print_json({"id": record.id, "state": record.state.value, "why": said})
        return 0
    print(f"{record.id}  {state(record.state.value)}")
    for line in said:
        print(wrapped(f"  {printable(line)}", "  "))
    return 0


def _sources(store: Views, name: str) -> list[str]:
    """Return the sources of this name that are configured or have a journal."""
    config = queue.settings()
    named = [
        *(f"schedule:{n}" for n in config.schedules),
        *(f"watcher:{n}" for n in config.watchers),
        *(f"poller:{n}" for n in config.pollers),
    ]
    found = [source for source in named if name in (source, source.partition(":")[2])]
    word = name.removeprefix("schedule:")
    known = [f"schedule:{n}" for n in (word,) if store.journal(f"schedule:{n}", 1)]
    return found or known or _periodic(word)


def _periodic(word: str) -> list[str]:
    """Return the periodic tasks of Python of this name; what may be an id is not looked for among them."""
    from cli import schedules
    from durable.errors import BatonError
    from settings import SettingsError

    if not set(word) - set("0123456789abcdef"):
        return []
    with contextlib.suppress(
        BatonError, SettingsError, ValueError
    ):  # `up` and `schedules` say what is wrong with them
        return [
            f"schedule:{one.name}" for one in schedules.known() if schedules.is_called(one, word)
        ]
    return []


def _of_sources(store: Views, args: argparse.Namespace, sources: list[str]) -> int:
    """Explain every source of the name; as JSON the first, and the names of the others."""
    standing = [p for p in problems.standing(store) if p.subject in sources]
    now_ms = store.now_ms()
    if args.json:
        source, *others = sources
        told = [fates.facts(entry) for entry in store.journal(source, _SHOWN)]
        stands = [problems.facts(p, now_ms) for p in standing if p.subject == source]
        print_json({"source": source, "journal": told, "problems": stands, "others": others})
        return 0
    for source in sources:
        print(paint(source, "bold"))
        for problem in (p for p in standing if p.subject == source):
            print(f"  {problems.sentence(problem, now_ms)}")
        for line in _lines(store, source, store.journal(source, _SHOWN)):
            print(wrapped(f"  {printable(line)}", "  "))
    return 0


def _lines(store: Views, source: str, told: list[Told]) -> list[str]:
    if not told and source.startswith("schedule:"):
        return ["It has not fired yet. ./baton schedules says when it does."]
    if not told:
        counts = store.counts_by_source().get(source, {})
        counted = ", ".join(f"{n} {s.value}" for s, n in counts.items() if n)
        return [f"Its tasks: {counted or 'none yet'}. ./baton list --source {source} shows them."]
    states = {r.id: r.state.value for r in store.records([t.id for t in told if t.id]) if r}
    kind = source.partition(":")[0]
    return [fates.sentence(entry, kind, states.get(entry.id, "")) for entry in told]


def _task(store: Views, word: str) -> Record:
    from durable.errors import NoSuchTaskError

    try:
        return queue.one(store, word)
    except NoSuchTaskError as error:
        if error.matches:
            raise CliError(str(error)) from error
        config = queue.settings()
        names = {**config.schedules, **config.watchers, **config.pollers}
        remedy = f"There is: {', '.join(names)}. ./baton schedules and ./baton list show more."
        raise CliError(
            f"No schedule, watcher, poller or task is called '{word}'.", remedy
        ) from error


def reasons(record: Record, store: Views) -> list[str]:
    """Return, in sentences, why a task stands where it does."""
    said = _BY_STATE[record.state.value](record)
    if record.state.value == "queued":
        said += _waiting(record, store, queue.settings())
    return said


def _queued(record: Record) -> list[str]:
    if not record.attempt:
        return [f"It came in {moment(record.created_ms)} from {record.source or 'nobody named'}."]
    last = f"Attempt {record.attempt} ended: {record.outcome or 'sent back'}"
    return [f"{last}{f' ({record.reason})' if record.reason else ''}. It runs again."]


def _scheduled(record: Record) -> list[str]:
    after = (
        f" after attempt {record.attempt} ended: {(record.reason or record.outcome).rstrip('.')}"
    )
    return [f"It waits until {moment(record.due_ms)}{after if record.attempt else ''}."]


def _running(record: Record) -> list[str]:
    stopping = " It is being stopped: somebody cancelled it." if record.cancel else ""
    since = f"since {moment(record.started_ms)}"
    return [f"Attempt {record.attempt} runs {since} in {_consumer(record)}.{stopping}"]


def _consumer(record: Record) -> str:
    """Its name, and its machine's where that is another one."""
    from cli import attempts

    name = record.owner.rpartition(":")[2]
    host = attempts.elsewhere(queue.settings().var, record)
    return f"{name} on {host}" if host else name


def _held(record: Record) -> list[str]:
    return [
        f"It waits for a person: {(record.reason or record.outcome).rstrip('.')}.",
        f"./baton release {record.id[: queue.SHORT]} sends it on; ./baton cancel ends it.",
    ]


def _ended(record: Record) -> list[str]:
    reason = f": {record.reason}" if record.reason else ""
    tries = f" in attempt {record.attempt}" if record.attempt else ""
    return [
        f"It ended {moment(record.finished_ms)}{tries} as {record.outcome}{reason.rstrip('.')}."
    ]


_BY_STATE = {
    "queued": _queued,
    "scheduled": _scheduled,
    "running": _running,
    "held": _held,
    "succeeded": _ended,
    "failed": _ended,
    "cancelled": _ended,
}


def _waiting(record: Record, store: Views, settings: Settings) -> list[str]:
    """What keeps a queued task from running now."""
    closed = [entry for entry in store.gate() if _stops(entry, record)]
    if closed:
        return [line for entry in closed for line in gate.plain(entry)]
    if holder := waits_for(store, record):
        return [f"It waits for {holder}."]
    if record.queue in hosts.ask(store).unserved:
        todo = hosts.remedy(record.queue, settings.host)
        return [f"It waits in {record.queue}, which no consumer serves, on no machine: {todo}."]
    counts = {name.value: count for name, count in store.counts().items()}
    return [
        f"It waits for a consumer: {counts['running']} tasks run, {counts['queued']} wait."
        " ./baton status shows whether consumers are up."
    ]


def _stops(entry: GateEntry, record: Record) -> bool:
    """Whether an entry may keep this task back. What it pays with, its record does not say."""
    return entry.scope == "all" or record.kind == "claude"
