"""What keeps tasks from running although everything is started: claude, its login, a closed gate."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cli import billing

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
    if billing.credential_of(settings) == "none":
        return [Notice("Claude is not logged in; its tasks wait.", "./baton login")]
    return []
