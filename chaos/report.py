"""The words that a chaos run ends with. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chaos.game import Outcome
from chaos.oracle import Row, facts, judge

_NAME, _COLUMN = 26, 20


def red(outcome: Outcome) -> bool:
    """Whether a promise was broken."""
    broken = any(row.broken for row in judge(outcome.evidence))
    return broken or not outcome.drained or bool(outcome.surprises)


def report(ours: Outcome, others: Sequence[Outcome], seed: int) -> str:
    """The table, what was done to whom, and an example of each thing that is wrong with ours."""
    outcomes = [ours, *others]
    parts = [
        _line("", [f"{o.side}, {o.seconds:g} s" for o in outcomes]),
        *_table([facts(o.evidence) for o in outcomes]),
        _line("drained within, s", [f"{o.drain_s:.1f}" if o.drained else "NOT" for o in outcomes]),
        "",
        *_verdicts([judge(o.evidence) for o in outcomes]),
        "",
        *(f"{o.side}: {_deeds(o)}" for o in outcomes),
        f"seed {seed}",
        *_examples(judge(ours.evidence)),
        *(f"  {name} ended by itself: exit {codes}" for name, codes in ours.surprises.items()),
    ]
    if red(ours):
        parts.append(f"\nRED. Everything is kept in {ours.folder}")
    return "\n".join(parts)


def _line(name: str, cells: Iterable[str]) -> str:
    return f"{name:<{_NAME}}" + "".join(f"{cell:>{_COLUMN + 2}}" for cell in cells)


def _table(columns: Sequence[dict[str, int]]) -> Iterable[str]:
    for name in columns[0]:
        yield _line(name, [str(column[name]) for column in columns])


def _verdicts(columns: Sequence[Sequence[Row]]) -> Iterable[str]:
    for rows in zip(*columns, strict=True):
        yield _line(rows[0].name, ["-" if row.broken is None else str(row.broken) for row in rows])


def _deeds(outcome: Outcome) -> str:
    done = ", ".join(f"{what} {count}" for what, count in sorted(outcome.done.items()))
    return f"{done}; replies lost {outcome.dropped}"


def _examples(rows: Sequence[Row]) -> Iterable[str]:
    for row in rows:
        for example in row.examples:
            yield f"  {row.name}: {example}"
