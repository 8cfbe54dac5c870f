"""`./baton poll NAME`: ask a source now; with --dry-run only show what would be new."""

from __future__ import annotations

import argparse
import json
import signal

from cli.errors import CliError
from cli.terminal import cut, print_json, printable

_WIDE = 100


def poll(args: argparse.Namespace) -> int:
    """Take in what is new, or show it. The poller's own process goes on as it is."""
    import tasks
    from durable.errors import CursorMovedError
    from producers.poller import poller_of
    from producers.sources import SourceError
    from producers.templates import TemplateError

    for wish in (signal.SIGTTIN, signal.SIGTTOU):
        signal.signal(wish, signal.SIG_IGN)  # a program that asks at the terminal fails at once
    named = tasks.config.pollers
    if args.name not in named:
        there_is = f"There is: {', '.join(named) or 'none'}."
        raise CliError(f"There is no poller '{args.name}' in baton.yaml.", there_is)
    try:
        poller = poller_of(tasks.config, args.name)
        new = poller.poll_now(dry=args.dry_run)
        prompts = [poller.harvest.prompt_of(item) for item in new] if args.dry_run else []
    except (SourceError, TemplateError) as error:
        raise CliError(str(error)) from error
    except CursorMovedError as error:
        raise CliError("The poller polled at the same moment; nothing is doubled.") from error
    if args.json:
        found = [{"id": item.id, "item": item.data} for item in new]
        print_json({"new": found, "submitted": not args.dry_run})
        return 0
    print(_summary(len(new), dry=args.dry_run))
    for number, item in enumerate(new):
        print(f"  {printable(item.id)}  {_line(json.dumps(item.data, ensure_ascii=False))}")
        if prompts and prompts[number]:
            print(f"    → {_line(prompts[number])}")
    return 0


def _line(text: str) -> str:
    return cut(printable(" ".join(text.split())), _WIDE).rstrip()


def _summary(count: int, *, dry: bool) -> str:
    if not count:
        return "Nothing is new."
    items = "1 item is" if count == 1 else f"{count} items are"
    stays = "stays" if count == 1 else "stay"
    return f"{items} new, and {stays} so." if dry else f"{items} new, and in the queue."
