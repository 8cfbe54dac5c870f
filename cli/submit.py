"""`./baton add`: one task from a person, with any of Claude's options."""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import gate, queue
from cli.errors import CliError
from cli.parser import OPTION
from cli.terminal import print_json, printable, wrapped

if TYPE_CHECKING:
    from durable.queue import BatonHuey


def add(args: argparse.Namespace) -> int:
    """Put a task in; with `--wait`, print its result and fail when it fails."""
    prompt = sys.stdin.read() if args.prompt == "-" else args.prompt
    if not prompt.strip():
        raise CliError("The prompt is empty.", 'Say what Claude is to do: ./baton add "…"')
    huey = queue.huey()
    task_id, new, credential = _submit(huey, prompt, args)
    if args.wait:
        _say_what_closes(huey, task_id, credential)
        return _wait(huey, task_id, as_json=args.json)
    if args.json:
        print_json({"id": task_id, "new": new})
    elif new:
        print(f"{task_id[: queue.SHORT]} is in the queue. ./baton logs {task_id[:8]} -f shows it.")
    else:
        print(f"{task_id[: queue.SHORT]} has this key already; nothing was put in.")
    _say_what_closes(huey, task_id, credential)
    return 0


def _submit(huey: BatonHuey, prompt: str, args: argparse.Namespace) -> tuple[str, bool, str]:
    """The id, whether it is new, and the credential that it pays by, "" for the usual one."""
    import tasks

    try:
        task = tasks.claude_submission(
            prompt,
            key=args.key,
            source="cli",
            queue=args.queue,
            lock=args.lock,
            priority=args.priority,
            options=options(args),
        )
    except ValueError as error:
        raise CliError(str(error)) from error
    submitted = huey.store.submit([task])[0]
    return submitted.id, submitted.new, task.credential


def _say_what_closes(huey: BatonHuey, task_id: str, credential: str) -> None:
    """On standard error, which no program reads as an answer: a task that waits for the gate is not at work soon."""
    import redis

    with contextlib.suppress(redis.RedisError):  # the task is in, whatever this look comes to
        record = huey.store.record(task_id)
        if record is None or record.state.value not in ("queued", "scheduled"):
            return
        for entry in huey.store.gate():
            if gate.keeps_back(entry, credential):
                print(wrapped(gate.waiting(entry)), file=sys.stderr, flush=True)


def options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the Claude options named on the command line, checked and JSON-able.

    Relative paths are taken from the current folder. Raises ValueError that says what is allowed.
    """
    from settings import resolve_options

    named = {
        name.removeprefix(OPTION): value
        for name, value in vars(args).items()
        if name.startswith(OPTION) and value is not None
    }
    return resolve_options({n: value_of(n, word) for n, word in named.items()}, Path.cwd())


def value_of(name: str, word: str | bool) -> object:
    """Return what a word on the command line means for an option: a list, a number, an object."""
    from settings.types import COMMANDS, ClaudeOptions

    if isinstance(word, bool) or (name in COMMANDS and not word.lstrip().startswith("[")):
        return word
    if isinstance(getattr(ClaudeOptions(), name), tuple) and not word.lstrip().startswith("["):
        return split(word)
    try:
        meant = json.loads(word)
    except ValueError:
        return word
    return word if isinstance(meant, str) else meant


def split(word: str) -> list[str]:
    """Split a list at its commas, but for those in brackets: `Read, Bash(git add, git commit)`."""
    parts = re.findall(r"(?:\([^)]*\)|[^,(]|\((?![^)]*\)))+", word)
    return [part.strip() for part in parts if part.strip()]


def _wait(huey: BatonHuey, task_id: str, *, as_json: bool) -> int:
    from durable.results import TaskFailed

    try:
        result = huey.result_of(task_id).get(blocking=True)
    except TaskFailed as error:
        if as_json:
            print_json({"id": task_id, "outcome": error.outcome, "error": str(error)})
        else:
            print(f"{task_id[: queue.SHORT]} {error}", file=sys.stderr)
        return 1
    if as_json:
        print_json({"id": task_id, "outcome": "succeeded", "result": result})
    else:
        text = result.get("text") if isinstance(result, dict) else result
        print(printable(str(text or ""), keep="\n\t"))
    return 0
