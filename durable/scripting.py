"""Runs the Lua files of scripts/ on one prefix of one Redis. Knows none of them by name."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

import redis

from durable.line import Line

#: In front of every script, in this order: each uses those before it.
_LIBRARY = ("keys", "locks", "gate", "record", "chords")


@cache
def script_text(*names: str) -> str:
    """The whole text of a script; of several, one that runs them in turn and answers with all their answers.

    Of several, each one's arguments follow their number.
    """
    folder = resources.files("durable") / "scripts"
    parts = [(folder / "lib" / f"{name}.lua").read_text() for name in _LIBRARY]
    bodies = {name: (folder / f"{name}.lua").read_text() for name in names}
    if len(names) == 1:
        return "".join([*parts, *bodies.values()])
    parts += [f"local function {name}(ARGV)\n{body}\nend\n" for name, body in bodies.items()]
    calls = ", ".join(f"{name}(next_arguments())" for name in names)
    return "".join([*parts, _SPLIT, f"return {{ {calls} }}\n"])


#: How often a script is loaded for one call, should somebody flush scripts meanwhile.
_LOADS = 3
_SPLIT = """\
local position = 1
local function next_arguments()
  local count, own = tonumber(ARGV[position]), {}
  for n = 1, count do own[n] = ARGV[position + n] end
  position = position + count + 1
  return own
end
"""


@cache
def digest(*names: str) -> str:
    """By which the server knows the script."""
    return hashlib.sha1(script_text(*names).encode(), usedforsecurity=False).hexdigest()


class Scripts:
    """The keys of one prefix, and the scripts that work on them. May be used by several threads."""

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        self.client = client
        self.prefix = prefix
        self._line = Line(client)

    def _run(self, script: str, *args: object) -> Any:
        return self._evaluate((script,), args)

    def _run_together(self, *calls: tuple[str, Sequence[object]]) -> list[Any]:
        """Several scripts as one: in one step, in this order; the answer of each."""
        args: list[object] = []
        for _, own in calls:
            args += [len(own), *own]
        found: list[Any] = self._evaluate(tuple(script for script, _ in calls), args)
        return found

    def _evaluate(self, names: tuple[str, ...], args: Sequence[object]) -> Any:
        for _ in range(_LOADS):
            try:
                return self._line.ask("EVALSHA", digest(*names), 1, self.prefix, *args)
            except (
                redis.exceptions.NoScriptError
            ):  # SCRIPT FLUSH, or a new server: nothing was done
                self._line.ask("SCRIPT", "LOAD", script_text(*names))
        return self._line.ask("EVALSHA", digest(*names), 1, self.prefix, *args)

    def _key(self, name: str) -> str:
        return self.prefix + name

    def now_ms(self) -> int:
        """The server's clock, ms since 1970: the only one that the queue goes by."""
        seconds, micros = self.client.time()
        return int(seconds) * 1000 + int(micros) // 1000
