"""A YAML file as plain values, with the line of each, and the one error that names file and line.

Stricter than YAML asks for: a key may stand once, and only true, false, null and numbers are not
text (so `no` stays a word and `1:30` is not 90).
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

KeyPath = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
_KNOWN_TAGS = {_TAG + name for name in (
    "str", "int", "float", "bool", "null", "timestamp", "map", "seq", "merge", "value",
)}  # fmt: skip
_WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_INT = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?")
_FORBIDDEN = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]"
_QUOTE = 'Put a value in quotes when it begins with one of * & ! % @ { [ or has ": " in it.'


class SettingsError(Exception):
    """A configuration that cannot be used: one message says where, what is wrong, what to do.

    Fields: file, line (None for the whole file), problem, remedy.
    """

    def __init__(self, file: Path, line: int | None, problem: str, remedy: str) -> None:
        super().__init__(file, line, problem, remedy)
        self.file, self.line, self.problem, self.remedy = file, line, problem, remedy

    def __str__(self) -> str:
        return f"{place(self.file, self.line)}: {self.problem}. {self.remedy}"


def place(file: Path, line: int | None) -> str:
    """`baton.yaml:12`, short for a file below the current folder."""
    here = Path.cwd()
    name = file.relative_to(here) if file.is_relative_to(here) else file
    return f"{name}:{line}" if line is not None else str(name)


class Document(NamedTuple):
    """What a YAML file says (a mapping), and in which line each key and item stands."""

    file: Path
    values: dict[str, Any]
    lines: dict[KeyPath, int]

    def line(self, path: KeyPath) -> int | None:
        """The line of a key or item, or of the nearest one around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)

    def error(self, path: KeyPath, problem: str, remedy: str) -> SettingsError:
        """The error for the key or item at `path`, to be raised by the caller."""
        return SettingsError(self.file, self.line(path), problem, remedy)


def read_text(file: Path, missing: str) -> str:
    """The text of a file in UTF-8. Raises SettingsError; `missing` is the remedy for no file."""
    try:
        return file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise SettingsError(file, None, "there is no such file", missing) from error
    except OSError as error:
        problem = f"it cannot be read ({error.strerror})"
        raise SettingsError(file, None, problem, "It must be a readable file.") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise SettingsError(file, line, "it is not text in UTF-8", "Save it as UTF-8.") from error


def read_document(file: Path, missing: str) -> Document:
    """A YAML file whose top is a mapping, or empty. Raises SettingsError."""
    return parse(file, read_text(file, missing))


def parse(file: Path, text: str) -> Document:
    """The document that a text of this file makes. Raises SettingsError."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one is ten times as fast
    try:
        top = yaml.compose(text, Loader=loader)
    except yaml.YAMLError as error:
        raise _syntax_error(file, text, error) from error
    document = Document(file, {}, {})
    if top is None:
        return document
    values = _Builder(document).value(top, (), ())
    if not isinstance(values, (dict, type(None))):
        raise SettingsError(file, 1, "it is not a mapping", "Write lines of the form key: value.")
    document.values.update(values or {})
    return document


class _Builder:
    def __init__(self, document: Document) -> None:
        self.document = document

    def value(self, node: yaml.Node, path: KeyPath, around: tuple[int, ...]) -> Any:
        """Plain values of a node; `around` holds the nodes that it stands in."""
        line = node.start_mark.line + 1
        self.document.lines.setdefault(path, line)
        if id(node) in around:
            raise self.document.error(path, "an alias contains itself", "Write the value out.")
        if node.tag not in _KNOWN_TAGS:
            raise self.document.error(path, f"unknown tag {node.tag}", "Write a plain value.")
        around = (*around, id(node))
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path, around)
        if isinstance(node, yaml.SequenceNode):
            items = enumerate(node.value)
            return [self.value(item, (*path, index), around) for index, item in items]
        assert isinstance(node, yaml.ScalarNode)
        return _scalar(str(node.value), bool(node.style))

    def mapping(self, node: yaml.MappingNode, path: KeyPath, around: tuple[int, ...]) -> Any:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                problem = "a key is not a plain word"
                raise SettingsError(self.document.file, line, problem, _QUOTE)
            key = str(key_node.value)
            if key in found:
                first = self.document.lines[(*path, key)]
                problem = (
                    f"{dotted((*path, key))} stands here a second time (first in line {first})"
                )
                raise SettingsError(self.document.file, line, problem, "Keep one of the two.")
            self.document.lines[(*path, key)] = line
            found[key] = self.value(value_node, (*path, key), around)
        return found


def dotted(path: KeyPath) -> str:
    """A path in the file as people say it: `watchers.inbox.settle`, `consumers[1]`."""
    words = "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in path)
    return words.removeprefix(".")


def _scalar(text: str, quoted: bool) -> Any:
    if quoted:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _syntax_error(file: Path, text: str, error: yaml.YAMLError) -> SettingsError:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        forbidden = re.search(_FORBIDDEN, text)
        line = text.count("\n", 0, forbidden.start() if forbidden else 0) + 1
        return SettingsError(file, line, "a control character stands here", "Remove it.")
    line = mark.line + 1
    words = [*text.split("\n"), ""][line - 1]
    if "\t" in words[: len(words) - len(words.lstrip())]:
        return SettingsError(file, line, "a tab indents this line", "Indent with spaces.")
    problem = getattr(error, "problem", None) or "this is not YAML"
    context, begun = getattr(error, "context", None), getattr(error, "context_mark", None)
    if context and begun:
        where = "" if begun.line + 1 == line else f" that begins in line {begun.line + 1}"
        problem += f" ({context}{where})"
    return SettingsError(file, line, f"YAML cannot read this: {problem}", _QUOTE)
