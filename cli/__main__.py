"""`./baton VERB`: finds the verb's function, calls it, and turns what it raises into one message.

Exit status: 0 done, 1 failed, 2 not understood.
"""

from __future__ import annotations

import errno
import gc
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from cli.errors import redis_is_away
from cli.parser import NEWCOMER, PASSED_THROUGH, parser
from cli.terminal import print_json, printable, wrapped

FAILED = 1
#: What a machine is to blame for when nothing can be written, and not a mistake of ours.
_NO_WRITING = {errno.EACCES, errno.EDQUOT, errno.ENOSPC, errno.EPERM, errno.EROFS}


def main(argv: Sequence[str]) -> int:
    """Do what the words say and return the exit status."""
    if not argv:
        print(NEWCOMER)
        return 0
    if argv[0] in PASSED_THROUGH:
        return _call(PASSED_THROUGH[argv[0]], list(argv[1:]))
    top = parser(argv[0])
    args = top.parse_args(argv)
    if args.verb is None:
        top.print_help()
        return 0
    return _call(args.target, args)


def _call(target: str, argument: Any) -> int:
    try:
        status = _function(target)(argument)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return 130  # as a shell reports SIGINT
    except BrokenPipeError:  # `./baton list | head`
        with open(os.devnull, "wb") as nothing:  # what is left is flushed to nobody at exit
            os.dup2(nothing.fileno(), 1)
        return FAILED
    except Exception as error:
        message = _message(error)
        if message is None:
            raise
        if getattr(argument, "json", False):
            print_json({"error": message})
        # Parts of it come from tasks and files, and what it names may be meant to move a cursor.
        print(wrapped(printable(message, keep="\n\t")), file=sys.stderr)
        return FAILED


def _function(target: str) -> Callable[[Any], int]:
    module, _, name = target.partition(":")
    found: Callable[[Any], int] = getattr(importlib.import_module(module), name)
    return found


def _message(error: Exception) -> str | None:
    """Return what a person should read instead of a traceback; None for a mistake of ours.

    The classes are known by name, so that a verb without Redis or PM2 loads neither for this.
    """
    names = {cls.__name__ for cls in type(error).__mro__}
    if names & {"CliError", "SettingsError", "BatonError"}:
        return str(error)
    if redis_is_away(error):
        return (
            f"Redis does not answer: {error}\n"
            "  ./baton status shows whether it runs; ./baton up starts it."
        )
    if isinstance(error, OSError) and error.errno in _NO_WRITING:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}.\n  ./baton doctor looks at folders, rights and room."
    return None


if __name__ == "__main__":
    # Most calls live for a tenth of a second, a sixth of which went into looking for garbage among what
    # was just loaded. A verb that stays (logs -f, shell) has its garbage collected all the same.
    gc.set_threshold(50_000, 20, 20)
    found = main(sys.argv[1:])
    gc.freeze()
    sys.exit(found)
