"""Every section of baton.yaml but redis: what it may hold, what may not clash, what looks odd."""

import keyword
import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from msgspec import Meta

from settings.alerts import address
from settings.document import Document, KeyPath, dotted
from settings.hosts import own_queue, with_own
from settings.sections import (
    Fields,
    absolute,
    bad,
    command_words,
    field,
    kinds,
    options,
    overlay,
    program,
    read_entries,
    section,
    unknown_key,
)
from settings.sources import read_feed, read_http, variables
from settings.types import ClaudeOptions, ConsumerGroup, Poller, Schedule, Watcher
from settings.values import BadValueError, Text, Texts

Entry = Watcher | Poller | Schedule
WHERE = {Watcher: "watchers", Poller: "pollers", Schedule: "schedules"}
Consumers = Annotated[
    int,
    Meta(
        ge=0,
        le=256,
        description="a number of processes from 0 to 256, or a list of {queues: [...], count: N}",
    ),
]

_OUR_MODULES = {
    *("alerts", "app", "cli", "consumers", "demo", "durable", "producers", "settings", "tasks"),
}
_USUAL = ("default",)


def value_of(document: Document, key: str, kind: Any, default: Any) -> Any:
    """A single value at the top of the file, or its default."""
    written = document.values.get(key)
    return default if written is None else field(document, (key,), written, kind)


def read_claude(document: Document) -> tuple[ClaudeOptions, str | None]:
    """The options that every task starts from (cwd: the yaml's folder), and `command`."""
    base, path = document.file.parent, ("claude",)
    written = section(document, path)
    for key in written:
        if key not in kinds() and key != "command":
            raise unknown_key(document, (*path, key), ["command", *kinds()])
    command = written.get("command")
    if command is not None:
        command = field(document, (*path, "command"), command, Text)
        command = absolute(command, base) if "/" in command else command
    chosen = {"cwd": str(base), **options(document, path, written)}
    return overlay(ClaudeOptions(), chosen), command


def read_consumers(document: Document, host: str) -> tuple[ConsumerGroup, ...]:
    """`consumers: 2`, or a list of groups, each with queues and a count; with `default` goes the host's own."""
    written = document.values.get("consumers")
    if isinstance(written, list):
        groups = [_group(document, ("consumers", index)) for index in range(len(written))]
    else:
        count = 2 if written is None else field(document, ("consumers",), written, Consumers)
        groups = [ConsumerGroup(_USUAL, count)]
    return tuple(ConsumerGroup(with_own(group.queues, host), group.count) for group in groups)


def _group(document: Document, path: KeyPath) -> ConsumerGroup:
    kinds_of = get_type_hints(ConsumerGroup, include_extras=True)
    written = section(document, path)
    for key in written:
        if key not in kinds_of:
            raise unknown_key(document, (*path, key), list(kinds_of))
    group = ConsumerGroup(
        **{
            key: field(document, (*path, key), value, kinds_of[key])
            for key, value in written.items()
            if value is not None
        }
    )
    if not group.queues:
        allowed = "a list of one queue or more"
        raise bad(document, (*path, "queues"), BadValueError([], allowed))
    return group


def refuse_more_than_a_day(
    document: Document, claude: ClaudeOptions, entries: Iterable[Entry], daily_usd: float | None
) -> None:
    """A task that may cost more than all of a day could run on none. Raises SettingsError."""
    limits: dict[KeyPath, Any] = {("claude",): claude.max_budget_usd}
    limits |= {
        (WHERE[type(entry)], entry.name): entry.options.get("max_budget_usd") for entry in entries
    }
    for path, limit in limits.items():
        if problem := more_than_a_day(limit, daily_usd):
            place = (*path, "max_budget_usd")
            remedy = "Lower the one or raise the other."
            raise document.error(place, f"{dotted(place)}: {problem}", remedy)


def more_than_a_day(limit_usd: float | None, daily_usd: float | None) -> str:
    """Why no day has room for a task with this max_budget_usd; empty where one has."""
    if limit_usd is None or daily_usd is None or limit_usd <= daily_usd:
        return ""
    return f"{limit_usd:g} USD is more than all tasks of a day may cost (budget_usd_per_day: {daily_usd:g})"


def read_tasks(document: Document) -> tuple[str, ...]:
    """The user's Python modules, by name."""
    path = ("tasks",)
    modules: tuple[str, ...] = value_of(document, "tasks", Texts, ())
    for index, module in enumerate(modules):
        parts = module.split(".")
        if not all(part.isidentifier() and not keyword.iskeyword(part) for part in parts):
            allowed = "names of Python modules, such as my_tasks for my_tasks.py"
            raise bad(document, path, BadValueError(module, allowed, index))
        if parts[0] in _OUR_MODULES or parts[0].startswith("settings_"):
            allowed = f"modules of your own; {parts[0]} is one of Baton's"
            raise bad(document, path, BadValueError(module, allowed, index))
    return modules


def read_workspaces(document: Document, var: Path, usual: Path) -> Path:
    """The folder in which tasks get folders of their own. Nothing else may lie in it."""
    path = ("workspaces",)
    written = value_of(document, "workspaces", Text, None)
    if written is None:
        return usual
    try:
        found = Path(os.path.realpath(absolute(written, document.file.parent)))
    except ValueError as error:
        raise bad(document, path, error) from error
    around = [other for other in (var, document.file.parent) if other.is_relative_to(found)]
    if around or found.is_relative_to(var):
        problem = f"workspaces is {found}, which holds or lies in {(around or [var])[0]}"
        raise document.error(path, problem, "Name a folder of its own.")
    return found


def read_watchers(document: Document, host: str) -> dict[str, Watcher]:
    """The watchers by name, no two of which may claim the same file.

    A folder that is not shared is this machine's, and so is what is to be done with its files.
    """
    found = read_entries(document, "watchers", Watcher, partial(_watcher, host=host))
    _refuse_shared_folders(document, list(found.values()))
    return found


def read_pollers(document: Document) -> dict[str, Poller]:
    """The pollers by name."""
    return read_entries(document, "pollers", Poller, _poller)


def read_timezone(document: Document) -> str | None:
    """The user's zone: of the budgets' days, and of schedules that name none. None: the machine's."""
    named: str | None = value_of(document, "timezone", Text, None)
    if named is not None:
        _check_zone(document, ("timezone",), named)
    return named


def read_schedules(document: Document) -> dict[str, Schedule]:
    """The schedules by name; the cron field itself is checked where it is computed."""
    return read_entries(document, "schedules", Schedule, _schedule)


def _watcher(document: Document, path: KeyPath, fields: Fields, *, host: str) -> Fields:
    if fields.get("queue") is None and fields.get("shared") is not True:
        fields["queue"] = own_queue(host)
    base = document.file.parent
    where = _folder(document, path, "path", fields.get("path"), base)
    if where is None:
        return fields
    done = fields.get("done")
    beside = where.parent
    fields["path"] = where
    if done not in ("delete", "leave"):
        done = _folder(document, path, "done", done, base) or beside / "Done"
    failed = _folder(document, path, "failed", fields.get("failed"), base) or beside / "Failed"
    recursive = fields.get("recursive") is True
    if _claims(where, recursive, base):
        problem = f"{dotted((*path, 'path'))} is {where}, which holds {document.file.name} itself"
        raise document.error((*path, "path"), problem, "Watch a folder of its own.")
    for key, folder in (("done", done), ("failed", failed)):
        if isinstance(folder, Path) and _claims(where, recursive, folder):
            problem = f"{dotted((*path, key))} is {folder}, which this watcher watches itself"
            raise document.error((*path, key), problem, "Name a folder outside of it.")
    return {**fields, "done": done, "failed": failed}


def _folder(document: Document, path: KeyPath, key: str, value: object, base: Path) -> Path | None:
    if value is None:
        return None
    try:
        if not isinstance(value, str) or not value.strip():
            raise BadValueError(value, "a folder" + (", delete or leave" if key == "done" else ""))
        return Path(os.path.realpath(absolute(value, base)))
    except ValueError as error:
        raise bad(document, (*path, key), error) from error


def _claims(watched: Path, recursive: bool, folder: Path) -> bool:
    return folder == watched or (recursive and folder.is_relative_to(watched))


def _refuse_shared_folders(document: Document, watchers: list[Watcher]) -> None:
    for number, later in enumerate(watchers):
        for first in watchers[:number]:
            if _claims(first.path, first.recursive, later.path) or _claims(
                later.path, later.recursive, first.path
            ):
                path = ("watchers", later.name, "path")
                problem = f"{dotted(path)} is {later.path}, which watcher {first.name} watches too"
                raise document.error(path, problem, "One folder, one watcher: change one of them.")


def _poller(document: Document, path: KeyPath, fields: Fields) -> Fields:
    kinds_of = [key for key in ("command", "http", "feed") if fields.get(key) is not None]
    if len(kinds_of) != 1:
        state = " and ".join(kinds_of) if kinds_of else "no source"
        remedy = (
            "Write one of them: command (a program), http (an address that answers JSON), feed."
        )
        raise document.error(path, f"{dotted(path)} has {state}", remedy)
    if "http" in kinds_of:
        return {**fields, "http": read_http(document, (*path, "http"))}
    if "feed" in kinds_of:
        return {**fields, "feed": read_feed(document, (*path, "feed"))}
    command = fields.get("command")
    if isinstance(command, str):
        command = _split(document, (*path, "command"), command)
    if isinstance(command, list) and command and isinstance(command[0], str):
        command = [program(command[0], document.file.parent), *command[1:]]
    return {**fields, "command": command}


def _split(document: Document, path: KeyPath, line: str) -> list[str]:
    try:
        return command_words(line)
    except ValueError as error:
        raise bad(document, path, error) from error


def _schedule(document: Document, path: KeyPath, fields: Fields) -> Fields:
    if (fields.get("cron") is None) == (fields.get("every") is None):
        state = "neither cron nor every" if fields.get("cron") is None else "both cron and every"
        remedy = (
            'Write one of them: cron: "0 9 * * 1" for times of day, every: 15m for an interval.'
        )
        raise document.error(path, f"{dotted(path)} has {state}", remedy)
    zone = fields.get("timezone")
    if isinstance(zone, str):
        _check_zone(document, (*path, "timezone"), zone)
    if fields.get("ping_url") is not None:
        address(document, (*path, "ping_url"), fields["ping_url"])
    usual = read_timezone(document)
    return fields if zone is not None or usual is None else {**fields, "timezone": usual}


def _check_zone(document: Document, path: KeyPath, zone: str) -> None:
    import zoneinfo  # only a schedule that names a zone pays for it

    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        import difflib

        close = difflib.get_close_matches(zone, zoneinfo.available_timezones(), 3)
        allowed = "an IANA time zone, such as " + ", ".join(close or ["Europe/Berlin", "UTC"])
        raise bad(document, path, BadValueError(zone, allowed)) from error


def named_variables(claude: ClaudeOptions, entries: Iterable[Entry]) -> set[str]:
    """Every variable that an `env:` passes on to attempts, and those that pollers send along."""
    found = set(claude.env)
    for entry in entries:
        found.update(entry.options.get("env", ()))
        if isinstance(entry, Poller):
            found.update(variables(entry.http or entry.feed))
    return found
