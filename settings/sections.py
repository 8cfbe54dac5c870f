"""How a mapping of baton.yaml, or the options of a call, become checked values.

Errors carry the line. Which sections and entries there are is in entries.py.
"""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import msgspec

from settings.document import Document, KeyPath, SettingsError, dotted
from settings.types import COMMANDS, ClaudeOptions, Poller, Schedule, Watcher
from settings.values import (
    ENTRY_NAME,
    ENTRY_NAME_WORDS,
    BadValueError,
    choices_for,
    convert,
    is_list,
    shown,
)

Fields = dict[str, Any]
Prepare = Callable[[Document, KeyPath, Fields], Fields]
T = TypeVar("T", Watcher, Poller, Schedule)

_SECTION = "a mapping, one key: value a line"
_HOW = {
    "path": "path: the folder to watch",
    "every": "every: 5m",
}

_FOLDERS = ("cwd", "add_dir", "plugin_dir")
_FILES = ("mcp_config", "settings", "system_prompt_file", "append_system_prompt_file")
# Their empty list says "none", which the CLI spells as an empty word.
_NONE_OF_THEM = ("tools", "setting_sources")


def overlay(base: ClaudeOptions, changes: Mapping[str, object]) -> ClaudeOptions:
    """`base` with some options replaced; an option that is None is left as it is.

    Raises ValueError that names the option and what it allows, or all options for an unknown one.
    """
    return msgspec.structs.replace(base, **_each(changes, option))


def resolve_options(changes: Mapping[str, object], base: Path) -> dict[str, object]:
    """The same options checked and JSON-able: durations in seconds, paths absolute.

    Relative paths are taken from `base`, `~` is the home folder. Raises ValueError like overlay.
    """
    return _each(changes, lambda name, value: resolve_option(name, value, base))


def _each(changes: Mapping[str, object], take: Callable[[str, object], Any]) -> dict[str, Any]:
    found = {}
    for name, value in changes.items():
        try:
            if value is not None:
                found[name] = take(name, value)
        except BadValueError as error:
            raise ValueError(f"{name}: {error}") from error
    return found


def resolve_option(name: str, value: object, base: Path) -> object:
    """One option checked and JSON-able, as in resolve_options. Raises ValueError."""
    plain = msgspec.to_builtins(option(name, value), enc_hook=float)
    if name in COMMANDS and plain:
        return [program(plain[0], base), *plain[1:]]
    if name not in _FOLDERS + _FILES:
        return list(plain) if isinstance(plain, tuple) else plain
    if isinstance(plain, str):
        return absolute(plain, base)
    return [absolute(word, base) for word in plain]


def option(name: str, value: object) -> Any:
    """One option in its own type. Raises BadValueError, or ValueError for an unknown name."""
    kind = kinds().get(name)
    if kind is None:
        raise ValueError(f"{name} is no option of claude. {choices_for(name, kinds())}")
    if name == "settings" and isinstance(value, dict):
        value = _json(value)
    if name == "mcp_config":
        items = value if isinstance(value, (list, tuple)) else [value]
        value = [_json(item) if isinstance(item, dict) else item for item in items]
    if name in COMMANDS and isinstance(value, str):
        value = command_words(value)
    converted = convert(value, kind)
    return ("",) if name in _NONE_OF_THEM and converted == () else converted


def absolute(word: str, base: Path) -> str:
    """A path with `~` expanded, from `base` when it is relative. JSON text stays as it is."""
    if word.lstrip().startswith("{"):
        return word
    try:
        return str(base / Path(word).expanduser())
    except RuntimeError as error:
        raise BadValueError(word, "a path; ~ alone is your home folder") from error


def command_words(line: str) -> list[str]:
    """The words of a command line, by the quotes of a shell and nothing else of one. Raises BadValueError."""
    import shlex  # for those who write a line instead of a list

    try:
        return shlex.split(line)
    except ValueError as error:
        allowed = "a command line with every quote closed, or a list of words"
        raise BadValueError(line, allowed) from error


def program(word: str, base: Path) -> str:
    """A program named by a path is found from `base`; a bare name on PATH."""
    return absolute(word, base) if "/" in word else word


def missing_paths(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(option, path) of every file or folder that resolved options name and that is not there."""
    named = [(name, options[name]) for name in _FOLDERS + _FILES if options.get(name)]
    words = [(name, [value] if isinstance(value, str) else value) for name, value in named]
    return [
        (name, word)
        for name, items in words
        for word in items
        if not word.lstrip().startswith("{") and not Path(word).exists()
    ]


@cache
def kinds() -> dict[str, Any]:
    """Every Claude option with the type of its values."""
    return get_type_hints(ClaudeOptions, include_extras=True)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def section(document: Document, path: KeyPath) -> Fields:
    """The mapping at `path`; one that is absent or holds only comments is empty."""
    value: Any = document.values
    for part in path:
        value = value[part] if isinstance(part, int) else (value or {}).get(part)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise bad(document, path, BadValueError(value, _SECTION))
    return value


def bad(document: Document, path: KeyPath, error: ValueError) -> SettingsError:
    """A value's error with its place in the file, to be raised by the caller."""
    if not isinstance(error, BadValueError):
        return document.error(path, dotted(path), str(error))
    line_of = path if error.index is None else (*path, error.index)
    problem = f"{dotted(path)} reads {shown(error.value)}"
    return document.error(line_of, problem, f"Allowed: {error.allowed}.")


def unknown_key(document: Document, path: KeyPath, choices: list[str]) -> SettingsError:
    """The error for a key that nobody knows, with the nearest that is known and all of them."""
    return document.error(path, f"unknown key {dotted(path)}", choices_for(str(path[-1]), choices))


def options(document: Document, path: KeyPath, written: Fields) -> dict[str, object]:
    """The Claude options among the keys of a section, checked, JSON-able, paths absolute."""
    found = {}
    for name, value in written.items():
        if name not in kinds() or (value is None and not is_list(kinds()[name])):
            continue
        try:
            listed = [] if value is None else value
            found[name] = resolve_option(name, listed, document.file.parent)
        except ValueError as error:
            raise bad(document, (*path, name), error) from error
    return found


def field(document: Document, path: KeyPath, value: object, kind: Any) -> Any:
    """One value in the type of its field. Raises SettingsError."""
    try:
        return convert(value, kind)
    except ValueError as error:
        raise bad(document, path, error) from error


def read_entries(document: Document, where: str, kind: type[T], prepare: Prepare) -> dict[str, T]:
    """The entries of a section by name. `prepare` resolves what one field cannot know alone."""
    return {
        name: _entry(document, (where, name), kind, prepare) for name in section(document, (where,))
    }


def _entry(document: Document, path: KeyPath, kind: type[T], prepare: Prepare) -> T:
    name = str(path[-1])
    if not ENTRY_NAME.fullmatch(name):
        problem = f"{dotted(path[:1])} has an entry called {shown(name)}"
        raise document.error(path, problem, f"Allowed in a name: {ENTRY_NAME_WORDS}.")
    hints = get_type_hints(kind, include_extras=True)
    own: Fields = {key: hint for key, hint in hints.items() if key not in ("name", "options")}
    written = section(document, path)
    prepared = prepare(document, path, dict(written))
    _refuse_unknown(document, path, written, [*own, *(key for key in kinds() if key not in own)])
    values = _values(document, path, own, prepared)
    _require(document, path, kind, values)
    return kind(name=name, options=options(document, path, written), **values)


def _values(document: Document, path: KeyPath, own: Fields, written: Fields) -> Fields:
    found = {}
    for key, value in written.items():
        if key not in own or (value is None and not is_list(own[key])):
            continue
        # A folder or the word beside it (`done`) has been checked when it was resolved.
        ready = key in ("path", "done", "failed", "http", "feed")
        listed = [] if value is None else value
        found[key] = value if ready else field(document, (*path, key), listed, own[key])
    return found


def _refuse_unknown(document: Document, path: KeyPath, written: Fields, choices: list[str]) -> None:
    for key in written:
        if key not in choices:
            raise unknown_key(document, (*path, key), choices)


def _require(document: Document, path: KeyPath, kind: type[msgspec.Struct], values: Fields) -> None:
    needed = [info.name for info in msgspec.structs.fields(kind) if info.required]
    for key in needed:
        if key not in values and key != "name":
            problem = f"{dotted(path)} has no {key}"
            raise document.error((*path, key), problem, f"Write one: {_HOW[key]}.")
    if ("prompt" in values) == ("task" in values):
        state = "both prompt and task" if "prompt" in values else "neither prompt nor task"
        remedy = "Write one of them: prompt for Claude, task for a Python task."
        raise document.error(path, f"{dotted(path)} has {state}", remedy)
