"""Whether the entries of baton.yaml can work: `up` asks before it touches what runs.

settings/ reads what stands in the file; what an entry is made of (cron expressions, templates, sources, tasks
of Python) is known to those who run it, and only tried here.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from settings import Settings
    from settings.document import KeyPath


#: Exit status of `main` for an entry that cannot work.
REFUSED = 3
#: Of a traceback that is longer than both: where the user's module stands, and what went wrong.
_FIRST_LINES, _LAST_LINES = 8, 8
_HEADING = "Traceback (most recent call last):"


def main() -> None:
    """Check the settings that the environment names; print the first mistake."""
    from durable.errors import BatonError
    from settings import SettingsError, load

    try:
        check(load())
    except SettingsError as error:
        print(error)
        sys.exit(REFUSED)
    except BatonError as error:
        print("\n".join([str(error), *_where(error.__cause__)]))
        sys.exit(REFUSED)


def _where(cause: BaseException | None) -> list[str]:
    """The lines of a traceback from the user's module on: how Baton came to import it helps nobody."""
    import traceback

    trace = cause.__traceback__ if cause else None
    while trace and (_is_import(trace.tb_frame.f_code.co_filename) or _is_ours(trace)):
        trace = trace.tb_next
    if cause is None or (trace is None and not isinstance(cause, SyntaxError)):
        return []
    said = traceback.format_exception(cause.with_traceback(trace))
    lines = [line for line in "".join(said).rstrip().splitlines() if line != _HEADING]
    if len(lines) <= _FIRST_LINES + _LAST_LINES:
        return lines
    return [*lines[:_FIRST_LINES], "  …", *lines[-_LAST_LINES:]]


def _is_import(file: str) -> bool:
    return file.startswith("<frozen importlib") or file == importlib.__file__


def _is_ours(trace: TracebackType) -> bool:
    import tasks

    return trace.tb_frame.f_code.co_filename == tasks.__file__


def check(settings: Settings) -> None:
    """Raise SettingsError, which names the line, or BatonError, for the first that cannot work."""
    import tasks
    from durable.cronspec import CronError
    from durable.errors import UnknownTaskError
    from producers.sources import SourceError
    from producers.templates import TemplateError

    tasks.load_user_tasks()
    for path, attempt in _attempts(settings):
        try:
            attempt()
        except CronError as error:
            _refuse(settings, (*path, "cron"), str(error))
        except TemplateError as error:
            where = tuple(error.where.split("."))
            line = f", in line {error.line} of it" if error.line else ""
            _refuse(settings, where, f"{error.where}{line}: {error.problem}")
        except UnknownTaskError as error:
            problem = f"no task is called '{error.name}' in the modules under tasks:"
            _refuse(settings, (*path, "task"), problem)
        except SourceError as error:
            _refuse(settings, path, str(error))


def _attempts(settings: Settings) -> Iterator[tuple[KeyPath, Callable[[], object]]]:
    """What each entry is made of, to be made once, and where it stands."""
    import tasks
    from producers import drops, harvest, schedules, timing
    from producers.recipe import Entry, Makers, Recipe
    from producers.sources.opening import source_of

    makers = Makers(tasks.claude_submission, tasks.task_submission, settings.base)

    def recipe(entry: Entry, kind: str, variables: tuple[str, ...]) -> Callable[[], object]:
        return partial(Recipe, entry, kind, variables, makers)

    for name, watcher in settings.watchers.items():
        yield ("watchers", name), recipe(watcher, "watcher", drops.VARIABLES)
    for name, poller in settings.pollers.items():
        yield ("pollers", name), recipe(poller, "poller", harvest.VARIABLES)
        yield ("pollers", name), partial(source_of, poller, settings)
    for name, entry in settings.schedules.items():
        yield ("schedules", name), partial(timing.timing_of, entry, settings.environ)
        yield ("schedules", name), recipe(entry, "schedule", schedules.VARIABLES)
    yield ("tasks",), partial(schedules.from_huey, tasks.huey, settings.environ, makers)


def _refuse(settings: Settings, path: KeyPath, problem: str) -> None:
    from settings.document import read_document

    document = read_document(settings.config, "")
    raise document.error(path, problem.rstrip("."), "Correct it, then run ./baton up again.")
