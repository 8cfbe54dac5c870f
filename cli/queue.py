"""How the command line reaches the queue, and how a task is named and shown there."""

from __future__ import annotations

import os
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from cli.errors import CliError
from cli.terminal import printable, wrapped

if TYPE_CHECKING:
    from durable.queue import BatonHuey
    from durable.records import Record
    from durable.store import LeaseStore
    from durable.views import Views
    from settings import Settings

SHORT = 8  # so much of an id is shown; a beginning that is unique stands for it everywhere


def huey() -> BatonHuey:
    """Return the queue that the tasks are on, with this command line as their source."""
    import tasks

    tasks.huey.source = "cli"
    return tasks.huey


@cache
def settings() -> Settings:
    """Return the settings, read once, for who looks or stops: with a mistake in them, those accepted last.

    The mistake is told on standard error. Raises SettingsError where no `up` has accepted any.
    """
    from settings import SettingsError, load

    try:
        return load()
    except SettingsError as error:
        from settings import accepted

        found = accepted.instead(error)
    words = f"{found.mistake} Until then this goes by what the last ./baton up accepted."
    print(wrapped(printable(words)), file=sys.stderr, flush=True)
    return found


def store() -> LeaseStore:
    """Return the verbs of the queue. Raises SettingsError; nothing connects yet."""
    from durable.connect import connect
    from durable.store import LeaseStore

    return LeaseStore(connect(settings().redis.url), _prefix())


def views() -> Views:
    """Return the queue for looking only, without redis-py and Huey, which take longer than a verb may."""
    from durable.glance import glance
    from durable.views import Views

    return Views(glance(settings().redis.url), _prefix())


def _prefix() -> str:
    return f"{{{settings().instance}}}:"


def one(queue: Views, prefix: str) -> Record:
    """Return the one task whose id begins with `prefix`. Raises NoSuchTaskError."""
    record = queue.record(queue.find(prefix.strip().lower()))
    if record is None:
        raise CliError(f"Task {prefix} is gone.", "./baton list shows those that are there.")
    return record


def facts(record: Record) -> dict[str, Any]:
    """Return a record for `--json`, without its message."""
    shown = {name: getattr(record, name) for name in record.__struct_fields__ if name != "body"}
    return shown | {"state": record.state.value}


def who() -> str:
    """Return who asks, for the record of a pause."""
    from durable.identity import user

    return os.environ.get("USER") or os.environ.get("LOGNAME") or user()
