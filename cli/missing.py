"""What keeps tasks from running although everything is started: claude, its login, a closed gate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from settings import Settings


class Notice(NamedTuple):
    """Something that a person should do, and what it is good for."""

    problem: str
    remedy: str


def notices(settings: Settings) -> list[Notice]:
    """Return what is missing on this machine, the most urgent first; none when all is there."""
    from consumers import claude

    found = claude.locate(settings)
    if isinstance(found, claude.Missing):
        return [Notice("Claude Code is not found; its tasks wait.", found.remedy)]
    # What an attempt would have: a login of this shell alone is no use to it.
    seen = claude.environment(settings.environ, settings.claude.env, "/tmp", "")  # noqa: S108
    if claude.credential(seen, Path(seen.get("HOME", "/"))) == "none":
        return [Notice("Claude is not logged in; its tasks wait.", "./baton login")]
    return []
