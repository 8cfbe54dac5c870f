"""Loads the Lua files of scripts/ into the server, as one library of functions, and calls them on one prefix.

Functions (Redis 7.0) rather than EVALSHA: a script runs all of its text at each call, and what most of ours
have in common cost as much as what they do. The library carries a digest of its text in its name, so that a
server may hold those of several versions of Baton. They are part of its data, so a restart keeps them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import redis

from durable import versions
from durable.keyspace import Keyspace
from durable.line import Line

#: In this order in front of the transitions: each uses those before it.
_LIBRARY = ("keys", "locks", "gate", "record", "costs", "chords", "journal", "news")
_NAME = "baton_"
#: How often the library is loaded for one call, should somebody flush functions meanwhile.
_LOADS = 3


class Library(NamedTuple):
    """The text for FUNCTION LOAD, and what its functions' names begin with."""

    name: str
    text: str

    def function(self, name: str) -> str:
        """The name by which the server knows one of them."""
        return f"{self.name}_{name}"


@cache
def library(message: int = versions.MESSAGE, format_: int = versions.FORMAT) -> Library:
    """All transitions of a version, each a function that takes the prefix as its key, and `together`."""
    folder = resources.files("durable") / "scripts"
    names = sorted(f.name[:-4] for f in folder.iterdir() if f.name.endswith(".lua"))
    parts = [(folder / "lib" / f"{name}.lua").read_text() for name in _LIBRARY]
    parts.insert(1, f"q.MESSAGE, q.FORMAT = {message}, {format_}\n")
    parts += [f"do\n{(folder / f'{name}.lua').read_text()}end\n" for name in names]
    text = "".join([*parts, _TOGETHER])
    name = _NAME + hashlib.sha256(text.encode()).hexdigest()[:12]
    registered = [_REGISTER.format(name=name, function=f) for f in (*names, "together")]
    return Library(name, f"#!lua name={name}\n{text}{''.join(registered)}")


_REGISTER = """\
redis.register_function('{name}_{function}', function(keys, args)
  return q.begin(keys[1], '{function}') or q.{function}(args)
end)
"""
_TOGETHER = """\
-- together: several transitions in one step. ARGV: for each its name, the number of its arguments, these.
-- Answers what each of them does.
function q.together(ARGV)
  local answers, position = {}, 1
  while ARGV[position] do
    local name, count, own = ARGV[position], tonumber(ARGV[position + 1]), {}
    for n = 1, count do own[n] = ARGV[position + 1 + n] end
    answers[#answers + 1] = q[name](own)
    position = position + 2 + count
  end
  return answers
end
"""


class Scripts(Keyspace):
    """The transitions that work on the keys of one prefix. May be used by several threads."""

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        super().__init__(client, prefix)
        self._line = Line(client)
        self._library = library()

    def _run(self, transition: str, *args: object) -> Any:
        words = ("FCALL", self._library.function(transition), 1, self.prefix, *args)
        for _ in range(_LOADS):
            try:
                return self._line.ask(*words)
            except redis.ResponseError as error:
                if not str(error).startswith("Function not found"):
                    raise
                self._load()  # a new server, or FUNCTION FLUSH: nothing was done
        return self._line.ask(*words)

    def _run_together(self, *calls: tuple[str, Sequence[object]]) -> list[Any]:
        """Several transitions as one: in one step, in this order; the answer of each."""
        args: list[object] = []
        for transition, own in calls:
            args += [transition, len(own), *own]
        found: list[Any] = self._run("together", *args)
        return found

    def _load(self) -> None:
        try:
            self._line.ask("FUNCTION", "LOAD", self._library.text)
        except redis.ResponseError as error:
            if "already exists" not in str(error):  # somebody was faster
                raise

    def forget_older_libraries(self) -> list[str]:
        """Remove what other versions of Baton have loaded; one that still runs loads its own again."""
        found: Any = self.client.function_list(library=_NAME + "*")
        names = [_library_name(entry) for entry in found]
        older = [name for name in names if name != self._library.name]
        for name in older:
            self.client.function_delete(name)
        return older


def _library_name(entry: Any) -> str:
    """Of an entry of FUNCTION LIST, which is a map or a flat list by the version of the protocol."""
    fields = entry if isinstance(entry, dict) else dict(zip(entry[::2], entry[1::2], strict=True))
    name = next(value for key, value in fields.items() if key in (b"library_name", "library_name"))
    return name.decode() if isinstance(name, bytes) else str(name)
