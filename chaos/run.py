"""`./baton chaos`: a private instance, a monkey, and a table of what it broke."""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from chaos import game
from chaos.arena import Arena, ArenaError, Stage, find_server
from chaos.report import red, report
from chaos.sides import BatonSide, HueySide, Side
from durable import server

#: Plain Huey shows what it loses in less time than ours needs to show that it loses nothing.
_BASELINE_S = 20.0


def main(argv: Sequence[str] = ()) -> int:
    """Run it; 0 when no promise was broken, 1 when one was, 130 after Ctrl-C."""
    options = _options(argv)
    signal.signal(signal.SIGTERM, _as_interrupt)
    seed = options.seed if options.seed is not None else secrets.randbelow(1_000_000)
    baseline_s = min(options.seconds, _BASELINE_S) if options.baseline is None else options.baseline
    try:
        stage = Stage(options.consumers, find_server(options.server), options.tcp)
        print(_title(options, stage, seed), flush=True)
        ours = _play(BatonSide, options, options.seconds, seed, stage)
        others = [_play(HueySide, options, baseline_s, seed, stage)] if baseline_s else []
    except KeyboardInterrupt:
        print("\nStopped. Nothing is left running.")
        return 130
    except ArenaError as error:
        print(error, file=sys.stderr)
        return 1
    print(report(ours, others, seed))
    return 1 if red(ours) else 0


def _title(options: argparse.Namespace, stage: Stage, seed: int) -> str:
    """What is played on, and the words that play the same again."""
    binary = stage.server or server.find_binary()
    words = [f"--seed {seed}"]
    words += [f"--server {options.server}"] if options.server else []
    words += ["--tcp"] if stage.tcp else []
    on = f"{binary.label}, {'TCP' if stage.tcp else 'unix socket'}"
    return f"chaos for {options.seconds:g} s on {on}, seed {seed} (again: {' '.join(words)})"


def _play(
    make: Callable[[Arena], Side],
    options: argparse.Namespace,
    seconds: float,
    seed: int,
    stage: Stage,
) -> game.Outcome:
    arena = Arena(stage)
    keep = True
    try:
        rules = game.Rules(seconds, seed, options.consumers, options.producers)
        outcome = game.play(arena, make, rules)
        keep = options.keep or (make is BatonSide and red(outcome))
        return outcome
    except KeyboardInterrupt:
        keep = False
        raise
    finally:
        arena.close(keep=keep)


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./baton chaos",
        description="Kill, stop and cut everything at random for a while; count what is lost.",
    )
    parser.add_argument("--seconds", type=float, default=60, help="how long (default 60)")
    parser.add_argument("--seed", type=int, help="the same plan again")
    parser.add_argument("--consumers", type=int, default=3, help="default 3")
    parser.add_argument("--producers", type=int, default=2, help="default 2")
    parser.add_argument(
        "--baseline",
        type=float,
        metavar="SECONDS",
        help="how long plain Huey gets the same (default: as long, at most 20; 0: not at all)",
    )
    parser.add_argument(
        "--server",
        default="",
        metavar="PROGRAM",
        help="a Redis or Valkey server, by path or by its name on PATH (default: the one of `up`)",
    )
    parser.add_argument(
        "--tcp", action="store_true", help="reach it by TCP, as a Redis on another machine"
    )
    parser.add_argument("--keep", action="store_true", help="keep the folders of the run")
    return parser.parse_args(argv)


def _as_interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
