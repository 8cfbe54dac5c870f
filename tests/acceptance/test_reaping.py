"""However an attempt of the real claude ends, no process that it started is left: end × kind of child."""

import contextlib
import itertools
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from consumers import processes
from durable.records import State
from tests.acceptance.claude_cli import find_claude
from tests.acceptance.claude_site import ClaudeSite, claude_settings, dotenv
from tests.acceptance.reaping import Run, end_each, submit
from tests.acceptance.standin_process import StandInProcess, standin
from tests.acceptance.zoo import EXCEPTION, KINDS
from tests.conftest import wait_until

pytestmark = pytest.mark.skipif(not processes.LINUX, reason="reads /proc to see what is left")

RUNNER_KILLED = ("runner killed", "both killed", "both killed, cancelled")
#: Only for what never ends. The longest are 10 s of patience with a claude that has given its result, and the
#: 15 s that a runner lives without a word; then the ladder and the clearing. What each took is printed.
WITHIN_S = 60.0
OUTCOMES = {
    "normal": (State.SUCCEEDED, "succeeded"),
    "lingering": (State.SUCCEEDED, "succeeded"),
    "cancelled": (State.CANCELLED, "cancelled"),
    "timed out": (State.FAILED, "timed_out"),
    "claude killed": (State.FAILED, "crashed"),
    "runner killed": (State.FAILED, "crashed"),
    "both killed": (State.FAILED, "crashed"),
    "consumer killed": (State.SUCCEEDED, "succeeded"),
    "both killed, cancelled": (State.CANCELLED, "cancelled"),
    "nobody left": (State.CANCELLED, "cancelled"),
    "down": (State.CANCELLED, "cancelled"),
}


def site_in(folder: Path, api: StandInProcess, consumers: int) -> ClaudeSite:
    """A site whose claude stays on after its result where its working folder is called so."""
    folder.mkdir()
    dotenv(folder, api)
    real, wrapper = find_claude(), folder / "claude"
    wrapper.write_text(
        f'#!/bin/sh\ncase $PWD in *linger*) {real} "$@"; exec sleep 600;; *) exec {real} "$@"; esac\n'
    )
    wrapper.chmod(0o700)
    settings = claude_settings(command=str(wrapper))
    site = ClaudeSite(folder, {"consumers": consumers, "claude": settings})
    site.start("redis")
    for number in range(1, consumers + 1):
        site.start("consumer", str(number))
    return site


def finishes(run: Run) -> None:
    run.storm()
    run.go()


def lingers(run: Run) -> None:
    run.go()
    threading.Timer(8.0, run.storm).start()


def is_cancelled(run: Run) -> None:
    run.storm()
    run.site.store.cancel(run.task_id)


def runs_out_of_time(run: Run) -> None:
    threading.Timer(6.0, run.storm).start()


def loses_claude(run: Run) -> None:
    run.storm()
    os.kill(run.claude, signal.SIGKILL)


def loses_its_runner(run: Run) -> None:
    run.storm()
    os.kill(run.runner, signal.SIGKILL)


def loses_both(run: Run) -> None:
    """Other consumers live, and one of them finds what is left."""
    run.storm()
    runner = run.runner
    run.site.kill(run.consumer)
    os.kill(runner, signal.SIGKILL)


def is_adopted(run: Run) -> None:
    first = run.consumer
    run.site.kill(first)
    wait_until(lambda: run.consumer != first, 30, "another consumer takes the run over")
    finishes(run)


def loses_both_alone(run: Run) -> None:
    """Nobody is there. The lease is given back, as another host's reaper does in 45 s, and the task
    cancelled before a consumer comes: no attempt of it follows that could find what is left."""
    loses_both(run)
    record = run.site.store.record(run.task_id)
    assert record is not None
    run.site.store.release(run.task_id, record.token, outcome="interrupted", reason="reaped")
    run.site.store.cancel(run.task_id)
    run.acted_at = time.monotonic()
    run.site.start("consumer", "1")


def is_left(run: Run) -> None:
    """Its consumer does not come back: the runner ends it by itself."""
    run.site.kill(run.consumer)
    run.site.store.cancel(run.task_id)
    threading.Timer(14.0, run.storm).start()


def is_taken_down(run: Run) -> None:
    """As ./baton down does it."""
    run.storm()
    (run.site.folder / "var" / "stopping").touch()
    run.site.stop("consumer-1")


AMONG_OTHERS = {
    "timed out": runs_out_of_time,
    "lingering": lingers,
    "normal": finishes,
    "cancelled": is_cancelled,
    "claude killed": loses_claude,
    "runner killed": loses_its_runner,
    "both killed": loses_both,
    "consumer killed": is_adopted,
}


ALONE = {"both killed, cancelled": loses_both_alone, "down": is_taken_down}


def among_others(site: ClaudeSite, found: list[Run]) -> None:
    """Four consumers, so that those which live see what befalls the others."""
    options = {end: {"max_runtime": "5m", "retries": 0} for end in AMONG_OTHERS}
    options["timed out"]["max_runtime"] = "12s"
    found += submit(site, options)
    end_each(found[:], AMONG_OTHERS)


def alone(site: ClaudeSite, found: list[Run]) -> None:
    """One consumer, which comes back."""
    for end, act in ALONE.items():
        found += submit(site, {end: {}})
        end_each(found[-1:], {end: act})
    (site.folder / "var" / "stopping").unlink()
    site.store.cancel(found[-1].task_id)


def left(site: ClaudeSite, found: list[Run]) -> None:
    """One consumer, which comes back when the run is over."""
    found += submit(site, {"nobody left": {}})
    end_each(found[:], {"nobody left": is_left})
    site.start("consumer", "1")


SCENES = ((among_others, 4), (alone, 1), (left, 1))


@contextlib.contextmanager
def played(root: Path) -> Iterator[dict[str, Run]]:
    """Every end, given to a run whose tool has started one child of each kind."""
    sites: list[ClaudeSite] = []
    found: list[list[Run]] = [[] for _ in SCENES]

    def play(number: int) -> None:
        scene, consumers = SCENES[number]
        site = site_in(root / str(number), api, consumers)
        sites.append(site)
        scene(site, found[number])

    try:
        with standin() as api, ThreadPoolExecutor(len(SCENES)) as side_by_side:
            list(side_by_side.map(play, range(len(SCENES))))
            yield {run.end: run for run in itertools.chain(*found)}
    finally:
        for run in itertools.chain(*found):
            run.kill()
        for site in sites:
            site.close()


def test_nobody_survives_an_attempt_whatever_its_end(
    short_tmp: Path, tell: Callable[[str], None]
) -> None:
    """In one test, because the ends are played side by side."""
    with played(short_tmp) as matrix:
        tell(table(matrix))
        assert set(matrix) == set(OUTCOMES)
        wrong = {end: said for end, run in matrix.items() if (said := list(complaints(end, run)))}
        assert not wrong


def table(matrix: dict[str, Run]) -> str:
    lines = [f"{'end':<24}{'after':>8}  survivors of {len(KINDS)} kinds of child"]
    for end, run in matrix.items():
        beyond = [kind for kind in run.survivors if not excused(end, kind)]
        excuse = f" (and {EXCEPTION}, the exception)" if EXCEPTION in run.survivors else ""
        lines.append(f"{end:<24}{run.seconds:>6.1f} s  {len(beyond)}{excuse}")
    return "\n".join(lines)


def complaints(end: str, run: Run) -> Iterator[str]:
    """What is not as it must be after this end."""
    left = {kind: pids for kind, pids in run.survivors.items() if not excused(end, kind)}
    if left:
        yield f"there live {left}"
    if run.seconds > WITHIN_S:
        yield f"it took {run.seconds:.0f} s"
    record = run.finish()
    if (record.state, record.outcome) != OUTCOMES[end]:
        yield f"{record.state}, {record.outcome}: {record.reason}"
    for path in run.traces():
        yield f"{path} is still there"
    try:  # shared by all runs of a site, four at a time
        json.loads((run.site.folder / "home" / ".claude.json").read_text())
    except ValueError as error:
        yield f"the file of its home is not whole: {error}"


def excused(end: str, kind: str) -> bool:
    """The one exception of promise 5."""
    return end in RUNNER_KILLED and kind == EXCEPTION
