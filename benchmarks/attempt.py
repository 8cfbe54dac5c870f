"""One Claude attempt through Baton beside bare `claude -p`, and how soon a killed consumer has its run again.

`.venv/bin/python benchmarks/attempt.py` (`--help` for the options), after `./baton test` or `./baton demo` has
put Claude Code into node_modules: two to three minutes. The CLI is the real one, the API the stand-in of demo/.
Each prompt runs bare and through Baton, in turns, so that both see the same machine.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)  # not this folder, where `import queue` would find a benchmark

from benchmarks.pairs import CLAUDES, Memory, Pair, run_pairs  # noqa: E402  # after the path is set
from benchmarks.takeover import Takeover, run_takeovers  # noqa: E402

#: What the project aims at.
RATIO, OVERHEAD_MS, RUNNER_MIB, ADOPTED_S = 1.03, 30.0, 12.0, 1.5


def main() -> None:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # through every `finally`
    if options.prompts:
        pairs, memory, version = run_pairs(options.prompts)
        print(
            f"{version}, {os.cpu_count()} cores, {len(pairs)} prompts, each bare and through Baton\n"
        )
        _print_overhead(pairs)
        _print_stages(pairs)
        _print_memory(memory)
    if options.kills:
        _print_takeovers(run_takeovers(options.kills))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--prompts", type=int, default=20, help="pairs to run; 0 leaves them out")
    parser.add_argument("--kills", type=int, default=10, help="kills under PM2; 0 leaves them out")
    return parser.parse_args()


def _print_overhead(pairs: Sequence[Pair]) -> None:
    bare, baton = [p.bare for p in pairs], [p.baton for p in pairs]
    print("| a task, median | bare claude, ms | through Baton, ms | more, ms | ratio |")
    print("|---|--:|--:|--:|--:|")
    _row("wall", [b.wall_ms for b in bare], [b.wall_ms for b in baton])
    _row("CPU of claude", [b.cpu_ms for b in bare], [b.claude_cpu_ms for b in baton])
    own = [b.own_cpu_ms for b in baton]
    _row(
        "CPU in all",
        [b.cpu_ms for b in bare],
        [b.claude_cpu_ms + o for b, o in zip(baton, own, strict=True)],
    )
    parts = {
        "consumer": statistics.fmean(b.consumer_cpu_ms for b in baton),
        "runner": statistics.fmean(b.runner_cpu_ms for b in baton),
        "Redis": statistics.fmean(b.redis_cpu_ms for b in baton),
    }
    said = ", ".join(f"{name} {value:.1f} ms" for name, value in parts.items())
    print(f"\nBaton's own CPU a task, mean: {said}")
    differences = [b.wall_ms - a.wall_ms for a, b in zip(bare, baton, strict=True)]
    below, above = _interval(differences)
    whole = statistics.median(b.wall_ms for b in bare)
    print(
        f"the median difference of wall lies, with 95 %, between {below:+.0f} and {above:+.0f} ms "
        f"({100 * below / whole:+.1f} and {100 * above / whole:+.1f} %); aim: below {OVERHEAD_MS:g} ms "
        f"and {100 * (RATIO - 1):.0f} %"
    )


def _interval(values: Sequence[float]) -> tuple[float, float]:
    """Of the median, from the ranks (binomial, by the normal approximation): no shape is assumed."""
    ranked, half = sorted(values), 0.98 * len(values) ** 0.5
    low = max(0, int(len(ranked) / 2 - half))
    return ranked[low], ranked[len(ranked) - 1 - low]


def _row(name: str, bare: Sequence[float], baton: Sequence[float]) -> None:
    """The difference is the median of the pairs' differences, since the machine's speed drifts."""
    more = statistics.median(b - a for a, b in zip(bare, baton, strict=True))
    before = statistics.median(bare)
    print(
        f"| {name} | {before:,.0f} | {statistics.median(baton):,.0f} | {more:+.1f} | {1 + more / before:.3f} |"
    )


def _print_stages(pairs: Sequence[Pair]) -> None:
    print("\n| where the time of a task goes | median, ms | p90, ms |\n|---|--:|--:|")
    for name in pairs[0].baton.stages:
        _stage(name, [pair.baton.stages[name] for pair in pairs])
    others = [p.baton.wall_ms - p.baton.stages[CLAUDES] for p in pairs]
    _stage("all but claude's", others)
    _stage("(bare claude)", [p.bare.wall_ms for p in pairs])
    print()
    _aim("Baton's own stages, p50", statistics.median(others), OVERHEAD_MS, "ms")


def _stage(name: str, values: Sequence[float]) -> None:
    print(f"| {name} | {statistics.median(values):.1f} | {_p90(values):.1f} |")


def _print_memory(memory: Memory) -> None:
    print("\n| memory | resident, MiB | its share (PSS), MiB |\n|---|--:|--:|")
    print(f"| runner beside claude | {memory.runner.rss_mib:.1f} | {memory.runner.pss_mib:.1f} |")
    print(f"| bare python -I -S | {memory.python.rss_mib:.1f} | {memory.python.pss_mib:.1f} |\n")
    _aim("runner, resident", memory.runner.rss_mib, RUNNER_MIB, "MiB")


def _print_takeovers(found: Sequence[Takeover]) -> None:
    print(
        f"\n| SIGKILL of a consumer under PM2, {len(found)} times | p50, ms | p90, ms |\n|---|--:|--:|"
    )
    for name in found[0].stages:
        _stage(name, [takeover.stages[name] for takeover in found])
    totals = [takeover.total_ms for takeover in found]
    _stage("together", totals)
    print()
    _aim("adoption, p50", statistics.median(totals) / 1000, ADOPTED_S, "s")


def _aim(what: str, value: float, below: float, unit: str) -> None:
    verdict = "met" if value < below else f"missed by {value - below:.2f} {unit}"
    print(f"{what}: {value:.2f} {unit}; aim below {below:g} {unit}: {verdict}", flush=True)


def _p90(values: Sequence[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(0.9 * len(values)))]


if __name__ == "__main__":
    main()
