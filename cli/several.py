"""Verbs that take several ids: each is acted on by itself, and of each is said what became of it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from cli.errors import CliError
from cli.terminal import print_json, printable, wrapped


class Done(NamedTuple):
    """What became of one task: facts for a program, and the same in a line."""

    facts: dict[str, Any]
    said: str


class Refused(NamedTuple):
    """The same of one for which nothing was done."""

    facts: dict[str, Any]
    said: str


def each(args: argparse.Namespace, act: Callable[[str], Done]) -> int:
    """Act on every id of `args.ids`; 1 when one of them could not be done, and the others are all the same.

    Of one id a program gets one object, or the error as of any verb; of several a list with one object each.
    """
    words: Sequence[str] = list(dict.fromkeys(args.ids))
    if len(words) == 1:
        found: list[Done | Refused] = [act(words[0])]
    else:
        found = [_tried(act, word) for word in words]
    if args.json:
        facts = [one.facts for one in found]
        print_json(facts[0] if len(words) == 1 else facts)
    else:
        for one in found:
            said = wrapped(printable(one.said, keep="\n\t"))
            print(said, file=sys.stdout if isinstance(one, Done) else sys.stderr)
    return 0 if all(isinstance(one, Done) for one in found) else 1


def _tried(act: Callable[[str], Done], word: str) -> Done | Refused:
    from durable.errors import BatonError

    try:
        return act(word)
    except (CliError, BatonError) as error:
        said = str(error) if str(error).startswith(f"Task {word}") else f"{word}: {error}"
        return Refused({"id": word, "error": str(error)}, said)
