"""How soon a verb of the command line answers: the whole process, from start to exit.

`.venv/bin/python benchmarks/cli.py` (`--help` for the options): about a minute on a quiet machine. A private server
with some tasks, no PM2 daemon (asking one takes about 5 ms of ours and 15 of its own). Each round runs every verb
once and an empty Python beside it, so that all see the same machine; `--other FOLDER` puts another checkout in
between, run by the same Python. With a production `.venv` (./baton, not ./baton test) there are a few ms less.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path[0] = str(ROOT)  # not this folder, where `import queue` would find a benchmark

from durable.records import Submission  # noqa: E402  # after the path is set
from tests.site import Site  # noqa: E402

#: What the project aims at for a verb that looks, ms.
AIM_MS = 150
TASKS = 200
VERBS = {
    "--help": ["--help"],
    "status": ["status"],
    "list": ["list"],
    "show": ["show", "aa0"],
    "why": ["why", "aa0"],
    "logs": ["logs", "aa0"],
    "costs": ["costs"],
    "schedules": ["schedules"],
    "hold": ["hold", "zz"],
    "add": ["add", "x"],
}
CONFIG = {
    "consumers": 1,
    "watchers": {"inbox": {"path": "Inbox", "prompt": "Read {{ path }}"}},
    "schedules": {"briefing": {"cron": "0 9 * * 1", "prompt": "Write it."}},
}


class Took(NamedTuple):
    """One process."""

    wall_ms: float
    cpu_ms: float


def main() -> None:
    options = _options()
    with _site() as site:
        found = _measure(site, options.rounds, options.other)
    _print(found, options.rounds, options.other)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20, help="of each verb (default 20)")
    parser.add_argument("--other", type=Path, help="another checkout, run in turns with this one")
    return parser.parse_args()


@contextmanager
def _site() -> Iterator[Site]:
    folder = Path(tempfile.mkdtemp(prefix="bc-"))
    site = Site(folder, CONFIG)
    try:
        site.start("redis")
        batch = [Submission(id=f"aa{n}", body=b"{}", source="cli") for n in range(TASKS)]
        site.store.submit(batch)
        stream = folder / "var" / "attempts" / "aa0" / "1" / "stream.jsonl"
        stream.parent.mkdir(parents=True)
        stream.write_text('{"type": "system", "subtype": "init", "session_id": "s"}\n')
        yield site
    finally:
        site.close()
        shutil.rmtree(folder, ignore_errors=True)


def _measure(site: Site, rounds: int, other: Path | None) -> dict[str, list[Took]]:
    found: dict[str, list[Took]] = {}
    env = site.env | {"PM2_HOME": str(site.folder)}
    for _ in range(rounds):
        _note(found, "(python)", ["-c", "pass"], env)
        for name, words in VERBS.items():
            _note(found, name, ["-m", "cli", *words], env | {"PYTHONPATH": str(ROOT)})
            if other:
                theirs = env | {"PYTHONPATH": str(other.resolve())}
                _note(found, f"other {name}", ["-m", "cli", *words], theirs)
    return found


def _note(
    found: dict[str, list[Took]], name: str, words: Sequence[str], env: dict[str, str]
) -> None:
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-P", *words],
        env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    found.setdefault(name, []).append(Took(1000 * wall, 1000 * (used.ru_utime + used.ru_stime)))


def _print(found: dict[str, list[Took]], rounds: int, other: Path | None) -> None:
    print(f"{os.cpu_count()} cores, medians of {rounds}, ms; the best of them in brackets\n")
    heads = ["verb", "wall", "CPU", *(["other, wall", "other, CPU"] if other else [])]
    print(f"| {' | '.join(heads)} |\n|---|{'--:|' * (len(heads) - 1)}")
    for name in ("(python)", *VERBS):
        cells = [_cell(found[name], 0), _cell(found[name], 1)]
        if other:
            theirs = found.get(f"other {name}", [])
            cells += [_cell(theirs, 0), _cell(theirs, 1)] if theirs else ["", ""]
        print(f"| {name} | {' | '.join(cells)} |")
    slow = [name for name in VERBS if statistics.median(t.wall_ms for t in found[name]) > AIM_MS]
    print(f"\nAim: below {AIM_MS} ms for what looks; above it: {', '.join(slow) or 'none'}.")


def _cell(took: Sequence[Took], index: int) -> str:
    values = [one[index] for one in took]
    return f"{statistics.median(values):.0f} ({min(values):.0f})"


if __name__ == "__main__":
    main()
