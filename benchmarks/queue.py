"""Baton's queue beside others, on the same kind of server with the same fsync: one command, one table.

`.venv/bin/python benchmarks/queue.py` (`--help` for the options). Every task is a no-op that counts itself
in shared memory. Each queue gets a fresh private server and is measured in turns with the others; the
table has the median of the rounds. Workers are stopped (SIGSTOP) while tasks go in, so that a drain is
measured without anybody submitting.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Python puts this folder first, where `import queue` would find this file
sys.path[:] = [str(HERE.parent), *(p for p in sys.path if Path(p or ".").resolve() != HERE)]

import argparse  # noqa: E402  # after the path is set
import contextlib  # noqa: E402
import signal  # noqa: E402
import statistics  # noqa: E402
import tempfile  # noqa: E402
from collections.abc import Iterator  # noqa: E402

from benchmarks.arena import Arena, Peer  # noqa: E402
from benchmarks.environments import peers  # noqa: E402
from durable import server  # noqa: E402

_COLUMNS = {
    "one": ("enqueue/s", "{:,.0f}"),
    "batch": ("by 100", "{:,.0f}"),
    "drain": ("drain/s", "{:,.0f}"),
    "drain4": ("4 procs", "{:,.0f}"),
    "p50": ("p50 ms", "{:.2f}"),
    "p99": ("p99 ms", "{:.2f}"),
    "bytes": ("B/task", "{:,.0f}"),
    "idle": ("idle CPU %", "{:.3f}"),
}
Figures = dict[str, float]


def main() -> None:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # through every `finally`
    with _folder(options.environments) as folder:
        found = peers(folder, options.only)
        print(
            f"{server.find_binary().label}, appendonly yes, appendfsync {options.fsync}", flush=True
        )
        rounds = [_round(found, options) for _ in range(options.rounds)]
    _print_table(found, rounds, [*_COLUMNS, *_depth_columns(options)])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("only", nargs="*", help="words of the names to measure; all without any")
    parser.add_argument("--fsync", choices=("always", "everysec"), default="always")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tasks", type=int, default=3000, help="tasks in each drain")
    parser.add_argument("--idle-seconds", type=float, default=10.0)
    parser.add_argument("--depths", type=int, nargs="*", default=[1000, 100_000])
    parser.add_argument("--large", action="store_true", help="a million pending tasks, too")
    parser.add_argument("--environments", type=Path, help="keep the peers' environments here")
    options = parser.parse_args()
    if options.large:
        options.depths.append(1_000_000)
    return options


@contextlib.contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept:
        yield kept.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="baton-peers-") as name:
        yield Path(name)


def _round(found: list[Peer], options: argparse.Namespace) -> dict[str, Figures]:
    figures: dict[str, Figures] = {}
    for peer in found:
        figures[peer.label] = {}
        for measure in (_speed, _depth):
            try:
                with Arena.of(peer, options.fsync) as arena:
                    figures[peer.label] |= measure(arena, options)
            except RuntimeError as error:
                print(f"{peer.label}: {error}", file=sys.stderr)
        print(peer.label, _shown(figures[peer.label]), file=sys.stderr, flush=True)
    return figures


def _speed(arena: Arena, options: argparse.Namespace) -> Figures:
    n = options.tasks
    found: Figures = {}
    arena.start_workers(1)
    waits = sorted(arena.order("latency", 200))
    found["p50"], found["p99"] = statistics.median(waits), waits[int(0.99 * len(waits))]
    found["idle"] = arena.idle_cpu(options.idle_seconds)
    arena.stop()
    found["one"] = n / arena.order("one", n)
    found["drain"] = arena.drain(n)
    before = arena.memory()
    seconds = arena.order("batch", n)
    if seconds is None:
        arena.order("one", n)
    else:
        found["batch"] = n / seconds
    found["bytes"] = (arena.memory() - before) / n
    arena.drain(n)
    arena.kill_workers()
    arena.start_workers(4)
    arena.stop()
    arena.fill(2 * n)
    found["drain4"] = arena.drain(2 * n)
    return found


def _depth(arena: Arena, options: argparse.Namespace) -> Figures:
    """What submit and claim cost when many tasks are pending: microseconds each, of 500."""
    found: Figures = {}
    pending = 0
    arena.start_workers(1)
    arena.stop()
    for depth in options.depths:
        arena.fill(depth - pending)
        found[f"in{depth}"] = 1e6 * arena.order("one", 500) / 500
        before = arena.board.count()
        found[f"out{depth}"] = 1e6 / max(arena.drain(500), 1e-9)
        pending = depth + 500 - (arena.board.count() - before)
    return found


def _depth_columns(options: argparse.Namespace) -> list[str]:
    return [f"{verb}{depth}" for verb in ("in", "out") for depth in options.depths]


def _column(name: str) -> tuple[str, str]:
    if name in _COLUMNS:
        return _COLUMNS[name]
    verb, depth = ("in", name[2:]) if name.startswith("in") else ("out", name[3:])
    shown = f"{int(depth):,}".replace(",000,000", "M").replace(",000", "k")
    return f"µs {verb} at {shown}", "{:,.0f}"


def _shown(figures: Figures) -> str:
    return " ".join(f"{_column(k)[0]}={_column(k)[1].format(v)}" for k, v in figures.items())


def _print_table(found: list[Peer], rounds: list[dict[str, Figures]], columns: list[str]) -> None:
    print("| queue | " + " | ".join(_column(c)[0] for c in columns) + " |")
    print("|---|" + "--:|" * len(columns))
    for peer in found:
        cells = [
            _cell(c, [r[peer.label][c] for r in rounds if c in r[peer.label]]) for c in columns
        ]
        print(f"| {peer.label} | " + " | ".join(cells) + " |")


def _cell(column: str, values: list[float]) -> str:
    return _column(column)[1].format(statistics.median(values)) if values else "–"


if __name__ == "__main__":
    main()
