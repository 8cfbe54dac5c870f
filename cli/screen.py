"""`./baton status` as lines: what matters most on top, and what does not fit left out with words. Pure.

Where nobody's terminal limits it, nothing is cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from cli import billing, costs, gate, hosts, look, problems, producing, queue
from cli.report import OUTSIDE, app_table, reasons
from cli.terminal import (
    ago,
    breadth,
    cut,
    moment,
    paint,
    printable,
    state,
    table,
    uncoloured,
    usd,
    wrapped,
)

if TYPE_CHECKING:
    from cli.instance import Instance, Queue, Run

_TICKS = 3
_ALARM = 3  # lines of one, where the screen is small
_STATES = ("queued", "running", "held", "succeeded", "failed", "cancelled")


class Block(NamedTuple):
    """Lines that belong together. Those of the highest `rank` are cut first, from their end, down to `least`."""

    lines: list[str]
    rank: int
    least: int = 0
    more: str = ""
    """What shows the lines that are cut."""


def lines(instance: Instance, width: int | None = None, height: int | None = None) -> list[str]:
    """Return the screen, at most `height` lines of `width` cells; None is without limit.

    Without a height, where a person can scroll, tables are as wide as the terminal, and nothing is left out.
    """
    found = fitted(list(_blocks(instance, width, height is not None)), height)
    if width is None or height is None:
        return found
    return [_clipped(line, width) for line in found]


def _clipped(line: str, width: int) -> str:
    """A line that is too long although it was wrapped has a word without end in it; it loses its colours, too."""
    bare = uncoloured(line)
    return line if breadth(bare) <= width else cut(bare, width).rstrip()


def _lines(texts: Iterable[str], most: int | None = None) -> list[str]:
    """Texts as lines that are wrapped; of each at most so many, its last line (the remedy) among them."""
    found = []
    for text in texts:
        rows = wrapped(text, "    ").split("\n")
        if most is not None and len(rows) > most:
            rows = [*rows[: most - 2], f"{rows[most - 2]} …", rows[-1]]
        found += rows
    return found


def fitted(blocks: Sequence[Block], height: int | None) -> list[str]:
    """Return the lines of all blocks, a blank one between them, cut so that they fit.

    The last one then says how many of them are not to be seen.
    """
    kept = [len(block.lines) for block in blocks]
    found = _joined(blocks, kept)
    if height is None or len(found) <= height:
        return [line for line, _ in found]
    for index in sorted(range(len(blocks)), key=lambda n: -blocks[n].rank):
        _shrink(blocks, kept, index, height - 1)
    seen = _joined(blocks, kept)[: height - 1]
    gone = sum(theirs for _, theirs in found) - sum(theirs for _, theirs in seen)
    more = f"… {gone} more line{'s' if gone > 1 else ''}: ./baton status"
    return [*(line for line, _ in seen), paint(more, "dim")]


def _shrink(blocks: Sequence[Block], kept: list[int], index: int, height: int) -> None:
    """Take lines from the end of a block; one that would be a head alone goes whole."""
    least = blocks[index].least
    while len(_joined(blocks, kept)) > height and kept[index] > least:
        kept[index] -= 1
        if kept[index] == 1 and least == 0:
            kept[index] = 0


def _joined(blocks: Sequence[Block], kept: Sequence[int]) -> list[tuple[str, bool]]:
    """What is to be seen of the blocks, line by line, and whether it is a line of theirs."""
    found: list[tuple[str, bool]] = []
    for block, count in zip(blocks, kept, strict=True):
        if count:
            found += [
                *([("", False)] if found else []),
                *((line, True) for line in block.lines[:count]),
            ]
        if hidden := len(block.lines) - count if count else 0:
            note = f"… {hidden} more{block.more and ': '}{block.more}"
            found.append((paint(note, "dim"), False))
    return found


def _blocks(instance: Instance, width: int | None, narrow: bool) -> Iterator[Block]:
    tasks = instance.tasks
    top = [_title(instance, width), *_lines(_closed(instance))]  # of these nothing is ever cut
    alarms = _lines(_alarms(instance), _ALARM if narrow else None)
    yield Block([*top, *alarms], rank=0, least=len(top), more="./baton status")
    if instance.apps:
        yield Block(_apps(instance.apps, width, narrow), rank=2, least=2)
    if elsewhere := _elsewhere(instance):
        yield Block(elsewhere, rank=5)
    if tasks:
        yield Block(_lines(_figures(instance, tasks)), rank=0, least=9)
        yield Block(_running(tasks, width), rank=1, least=2, more="./baton list --state running")
    producers = producing.rows(instance.producers, width)
    yield Block(producers, rank=4, more="./baton status")
    if tasks:
        yield Block(_sources(tasks, width), rank=3, more="./baton list --source NAME")
        yield Block(_recent(tasks, width), rank=4, more="./baton list")
    yield Block(_lines(_notes(instance)), rank=6)


def _title(instance: Instance, width: int | None) -> str:
    settings = instance.settings
    text = f"{settings.instance}  {settings.config}"
    fits = text if width is None else cut(text, width).rstrip()
    return fits.replace(settings.instance, paint(settings.instance, "bold"), 1)


def _closed(instance: Instance) -> Iterator[str]:
    for entry in instance.tasks.gate if instance.tasks else ():
        yield gate.sentence(entry)


def _alarms(instance: Instance) -> Iterator[str]:
    tasks = instance.tasks
    for notice in instance.missing:
        words = printable(notice.problem, keep="\n")
        yield f"{paint(words, 'yellow')}\n    → {printable(notice.remedy)}"
    for problem in tasks.problems if tasks else ():
        yield problems.sentence(problem, tasks.now_ms) if tasks else ""
    if instance.apps and all(row["pid"] == 0 for row in instance.apps):
        yield "Nothing runs. ./baton up starts it."
    if outside := [row["name"] for row in instance.apps or () if row["state"] == OUTSIDE]:
        words = f"{len(outside)} of {len(instance.apps or ())} apps run, and this PM2 does not look after them."
        yield f"{words}\n    → ./baton up takes them over; ./baton doctor says more"
    for words in reasons(instance.apps or ()):
        yield paint("! ", "yellow") + words


def _apps(rows: Sequence[dict[str, object]], width: int | None, narrow: bool) -> list[str]:
    """What does not work stands first where it may be that not all is seen."""
    chosen = sorted(rows, key=lambda row: row["state"] == "ready") if narrow else rows
    return app_table(chosen, width).split("\n")


def _elsewhere(instance: Instance) -> list[str]:
    if instance.tasks is None:
        return []
    here = instance.settings.host
    return [
        wrapped(printable(f"on {line}")) for line in hosts.elsewhere(instance.tasks.hosts, here)
    ]


def _figures(instance: Instance, tasks: Queue) -> Iterator[str]:
    counted = [f"{state(name.value)} {count}" for name, count in tasks.counts.items() if count]
    yield f"Tasks: {', '.join(counted) or 'none yet'}"
    today, settings = tasks.today, instance.settings
    limits = (settings.budget_usd_per_day, settings.budget_tokens_per_day)
    if today.usd or today.tokens or today.reserved_usd or any(limits):
        yield costs.today_line(settings, today)
    if ticks := [f"{tick.schedule} {moment(tick.at_ms)}" for tick in instance.ticks[:_TICKS]]:
        rest = len(instance.ticks) - len(ticks)
        yield f"Next: {', '.join(ticks)}" + (f" … {rest} more (./baton schedules)" if rest else "")


def _running(tasks: Queue, width: int | None) -> list[str]:
    if not tasks.running:
        return []
    heads = ("RUNNING", "SOURCE", "FOR", "TRY", "COST", "LAST", "WHAT")
    return table(heads, (_run(run, tasks.now_ms) for run in tasks.running), width).split("\n")


def _run(run: Run, now_ms: int) -> tuple[str, ...]:
    record, last_s = run.record, run.last_event_s
    return (
        record.id[: queue.SHORT],
        record.source or "-",
        ago(record.started_ms, now_ms),
        str(record.attempt),
        usd(run.cost_usd),
        "-" if last_s is None else ago(int(last_s * 1000), now_ms),
        look.subject(record),
    )


def _sources(tasks: Queue, width: int | None) -> list[str]:
    rows = by_source(tasks).items()
    if not rows:
        return []
    heads = ("SOURCE", "WAITING", *(word.upper() for word in _STATES[1:]))
    counted = ((name, *(str(counts.get(w, "-")) for w in _STATES)) for name, counts in rows)
    return table(heads, counted, width).split("\n")


def by_source(tasks: Queue) -> dict[str, dict[str, int]]:
    """Return each source's counts; its `queued` has those that wait for a time, too."""
    return {
        source or "-": {name.value: count for name, count in counts.items() if count}
        for source, counts in sorted(tasks.sources.items())
    }


def _recent(tasks: Queue, width: int | None) -> list[str]:
    return look.rows(tasks.recent, tasks.now_ms, width).split("\n") if tasks.recent else []


def _notes(instance: Instance) -> Iterator[str]:
    for text in instance.settings.warnings:
        yield paint("! ", "yellow") + printable(text, keep="\n")
    for text in billing.sentences(instance.claude):
        yield printable(text)
