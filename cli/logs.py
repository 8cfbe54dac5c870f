"""`./baton logs ID`: what Claude said and did in the latest attempt, and as it goes on with `-f`."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import queue
from cli.errors import CliError
from cli.look import attempts
from cli.terminal import printable, state
from cli.transcript import lines

if TYPE_CHECKING:
    from durable.store import LeaseStore

_LOOK_EVERY_S = 0.3
# Between two questions to Redis, s; the file is looked at more often.
_ASK_EVERY_S = 1.0


def logs(args: argparse.Namespace) -> int:
    """Print the stream of the latest attempt; with `-f` also what follows, until the task ends."""
    import tasks

    store, var = queue.store(), tasks.config.var
    record = queue.one(store, args.id)
    show = _print_json if args.json else _print_lines
    if args.follow:
        return _follow(store, var, record.id, show)
    folders = attempts(var, record.id)
    if not folders:
        why = record.reason or f"it is {record.state.value} and has not run on this machine"
        raise CliError(f"There is nothing to show of task {record.id}: {why}.")
    stream = Stream(folders[-1])
    for event in stream.news():
        show(event)
    if not stream.events:
        print(printable(_complaint(folders[-1]), keep="\n"))
    return 0


class Stream:
    """The events of one attempt, read as its file grows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.events = 0
        self._position = 0

    def news(self) -> Iterator[dict[str, Any]]:
        """Return the whole events that were written since the last call."""
        try:
            with (self.folder / "stream.jsonl").open("rb") as file:
                file.seek(self._position)
                written = file.read()
        except FileNotFoundError:
            return
        whole = written[: written.rfind(b"\n") + 1]
        self._position += len(whole)
        for line in whole.splitlines():
            self.events += 1
            yield _event(line)


def _event(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"type": "garbled"}


def _print_lines(event: dict[str, Any]) -> None:
    for line in lines(event):
        print(printable(line, keep="\t"), flush=True)


def _print_json(event: dict[str, Any]) -> None:
    print(json.dumps(event, ensure_ascii=False), flush=True)


def _complaint(folder: Path) -> str:
    try:
        said = (folder / "stderr.log").read_text("utf-8", "replace").strip()
    except FileNotFoundError:
        said = ""
    return said or f"Claude has written nothing yet in {folder}."


def _follow(store: LeaseStore, var: Path, task_id: str, show: Any) -> int:
    """Show every attempt from its beginning as it happens; exit status 1 unless it succeeds."""
    stream: Stream | None = None
    said = ""
    ask_at = 0.0
    while True:
        final = False
        if time.monotonic() >= ask_at:
            record = queue.one(store, task_id)
            final, said = record.state.final, _tell(record.state.value, record.reason, said, show)
            ask_at = time.monotonic() + _ASK_EVERY_S
        stream = _current(stream, attempts(var, task_id), show)
        if final:
            return 0 if record.state.value == "succeeded" else 1
        time.sleep(_LOOK_EVERY_S)


def _tell(found: str, reason: str, said: str, show: Any) -> str:
    """Print the state when it is another one than before."""
    words = f"{found}: {reason}" if reason else found
    if words != said and show is _print_lines:
        print(f"[{state(found)}{printable(words[len(found) :])}]", flush=True)
    return words


def _current(stream: Stream | None, folders: list[Path], show: Any) -> Stream | None:
    """Show what is new, going over to the next attempt when there is one."""
    if not folders:
        return None
    at_it = stream is not None and stream.folder in folders
    first = folders.index(stream.folder) if stream and at_it else len(folders) - 1
    for folder in folders[first:]:
        if stream is None or stream.folder != folder:
            stream = Stream(folder)
        for event in stream.news():
            show(event)
    return stream
