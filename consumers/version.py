"""Which version of Claude Code a program is, without running it, which takes half a second and writes files."""

from __future__ import annotations

import contextlib
import json
import os
import re
from pathlib import Path

_NUMBER = re.compile(r"\d+\.\d+\.\d+\S*", re.ASCII)


def of(claude: Path, var: Path) -> str:
    """The version, "" when nothing says it: from its name (the native installer's), its npm package, or a
    stream that it has written before (see remember)."""
    real = Path(os.path.realpath(claude))
    if _NUMBER.fullmatch(real.name):
        return real.name
    return _packaged(real.parent) or _remembered(real, var)


def remember(claude: Path, var: Path, version: str | None) -> None:
    """Note what a run has said of its version. A note that cannot be written costs nothing but itself."""
    if not version or of(claude, var) == version:
        return
    with contextlib.suppress(OSError):
        note = _identity(Path(os.path.realpath(claude))) | {"version": version}
        draft = _file(var).with_suffix(f".{os.getpid()}")
        draft.write_text(json.dumps(note))
        draft.replace(_file(var))


def _packaged(folder: Path) -> str:
    try:
        package = json.loads((folder / "package.json").read_bytes())
        named = str(package["name"]).startswith("@anthropic-ai/claude-code")
        return str(package["version"]) if named else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _remembered(real: Path, var: Path) -> str:
    """Of this very file: an update changes its time or its size."""
    try:
        note = json.loads(_file(var).read_bytes())
        version = str(note.pop("version"))
        return version if note == _identity(real) else ""
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return ""


def _identity(real: Path) -> dict[str, str | int]:
    facts = real.stat()
    return {"path": str(real), "mtime_ns": facts.st_mtime_ns, "size": facts.st_size}


def _file(var: Path) -> Path:
    return var / "claude-version.json"
