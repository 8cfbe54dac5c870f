"""Runs the Lua files of scripts/ on one prefix of one Redis. Knows none of them by name."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Any

import redis


def _script_texts() -> dict[str, str]:
    folder = resources.files("durable") / "scripts"
    texts = {f.name[:-4]: f.read_text() for f in folder.iterdir() if f.name.endswith(".lua")}
    prelude = texts.pop("prelude")
    return {name: prelude + body for name, body in texts.items()}


class Scripts:
    """The keys of one prefix, and the scripts that work on them. Thread-safe as redis-py's client is."""

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        self.client = client
        self.prefix = prefix
        self._scripts: dict[str, Any] = {}

    def _script(self, name: str) -> Any:
        if not self._scripts:
            self._scripts = {
                name: self.client.register_script(text) for name, text in _script_texts().items()
            }
        return self._scripts[name]

    def _run(self, script: str, *args: object) -> Any:
        return self._script(script)(keys=[self.prefix], args=list(args))

    def _run_both(self, *calls: tuple[str, Sequence[object]]) -> list[Any]:
        """Several scripts in one round trip, one after the other; the server may run others' between them."""
        pipe: Any = self.client.pipeline(transaction=False)
        for script, args in calls:
            pipe.evalsha(self._script(script).sha, 1, self.prefix, *args)
        try:
            answers: list[Any] = pipe.execute()
        except redis.exceptions.NoScriptError:
            # SCRIPT FLUSH or a new server; what was done already is harmless twice
            answers = [self._run(script, *args) for script, args in calls]
        return answers

    def _key(self, name: str) -> str:
        return self.prefix + name

    def now_ms(self) -> int:
        """The server's clock, ms since 1970: the only one that the queue goes by."""
        seconds, micros = self.client.time()
        return int(seconds) * 1000 + int(micros) // 1000
