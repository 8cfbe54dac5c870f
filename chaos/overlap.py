"""Whether two bodies lived at once that must not: two runs of one task, two tasks of one lock. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from chaos.body import Line


def of_tasks(lines: Iterable[Line]) -> list[str]:
    """Tasks of which two runs showed signs of life in turns."""
    return _in_turns(lines, lambda line: line.task, lambda line: line.run)


def of_locks(lines: Iterable[Line], locks: Mapping[str, str]) -> list[str]:
    """Locks under which two runs did, of the same task or not; `locks` are the locks' names by task id."""
    locked = (line for line in lines if line.task in locks)
    return _in_turns(locked, lambda line: locks[line.task], lambda line: f"{line.task}/{line.run}")


def _in_turns(
    lines: Iterable[Line], shared: Callable[[Line], str], run: Callable[[Line], str]
) -> list[str]:
    """Each run lives from its first line to its last."""
    spans: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        spans[shared(line)][run(line)].append(line.at_ns)
    found = []
    for name, runs in spans.items():
        ordered = sorted((min(moments), max(moments), who) for who, moments in runs.items())
        latest, holder = 0, ""
        for first, last, who in ordered:
            if first < latest:
                by_ms = (latest - first) / 1e6
                found.append(f"{name}: runs {holder} and {who}, for {by_ms:.1f} ms")
            latest, holder = max((latest, holder), (last, who))
    return found
