"""What `./baton doctor` looks at. Each examination answers with findings, and changes nothing.

They run side by side, each within a limit of time: what hangs is a finding, too.
"""

from __future__ import annotations

import importlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from cli.errors import CliError
from cli.examinations.findings import Finding

if TYPE_CHECKING:
    from settings import Settings

#: How long all of them together may take, s. The slowest wait for a program that answers in about one.
LIMIT_S = 20.0
#: In the order in which things build on each other; each module has `examine(settings)`.
PARTS = ("machine", "folders", "processes", "server", "agent")


def examine(settings: Settings, limit_s: float = LIMIT_S) -> Iterator[Finding]:
    """Return all findings, in the order of the parts."""
    if settings.mistake:
        todo = "correct it, then ./baton up; what follows goes by what the last one accepted"
        yield Finding("bad", "settings", settings.mistake, todo)
    else:
        yield Finding("ok", "settings", f"{settings.config} is well")
    yield from (Finding("warn", "settings", words) for words in settings.warnings)
    yield from side_by_side([(name, _examination(name, settings)) for name in PARTS], limit_s)


def _examination(name: str, settings: Settings) -> Callable[[], Iterable[Finding]]:
    module = importlib.import_module(f"cli.examinations.{name}")
    return lambda: module.examine(settings)


def side_by_side(
    parts: Iterable[tuple[str, Callable[[], Iterable[Finding]]]], limit_s: float
) -> Iterator[Finding]:
    """Run the parts at once; one that raises or is not done in time is a finding by itself."""
    until = time.monotonic() + limit_s
    found: dict[str, list[Finding]] = {name: [] for name, _ in parts}
    threads = {name: _started(part, found[name]) for name, part in parts}
    for name, thread in threads.items():
        thread.join(max(0.0, until - time.monotonic()))
        yield from list(found[name])
        if thread.is_alive():
            remedy = "something there hangs; look at what it is about to say next"
            yield Finding("bad", name, f"not examined within {limit_s:.0f} s", remedy)


def _started(part: Callable[[], Iterable[Finding]], found: list[Finding]) -> threading.Thread:
    thread = threading.Thread(target=_collect, args=(part, found), daemon=True)
    thread.start()
    return thread


def _collect(part: Callable[[], Iterable[Finding]], found: list[Finding]) -> None:
    try:
        for finding in part():
            found.append(finding)  # noqa: PERF402  # one by one: a part that hangs has said some already
    except CliError as error:
        found.append(Finding("bad", "doctor", error.problem, error.remedy))
    except Exception as error:  # noqa: BLE001  # one mistake must not hide what the others found
        words = f"an examination failed: {type(error).__name__}: {error}"
        found.append(Finding("bad", "doctor", words, f"run it by hand (process {os.getpid()})"))
