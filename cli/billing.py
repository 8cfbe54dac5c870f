"""Who pays for Claude's work, in words; and a key that lies about but is not used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from settings import Settings

_WORDS = {
    "api_key": "the API key in ANTHROPIC_API_KEY",
    "auth_token": "the token in ANTHROPIC_AUTH_TOKEN",
    "oauth_token": "the subscription of CLAUDE_CODE_OAUTH_TOKEN",
    "login": "the account that claude is logged in with",
    "bedrock": "Amazon Bedrock",
    "vertex": "Google Vertex AI",
    "foundry": "Microsoft Foundry",
    "none": "nobody: claude is not logged in",
}
_STRAY = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")


def payer(credential: str) -> str:
    """Return what a credential's name in command.json stands for."""
    return _WORDS.get(credential, credential or "not known")


def credential_of(settings: Settings) -> str:
    """Return the name of the credential that a task is billed by unless its own `env:` says otherwise."""
    from consumers import claude

    # What an attempt would have: a login or a key of this shell alone is no use to it.
    seen = claude.environment(settings.environ, settings.claude.env, "/tmp", "")  # noqa: S108
    return claude.credential(seen, Path(seen.get("HOME", "/")))


def stray(settings: Settings, environ: Mapping[str, str]) -> list[str]:
    """Return the keys that are in the environment or in `.env` and that no `env:` passes to a task."""
    entries = (settings.watchers, settings.pollers, settings.schedules)
    options = [entry.options for group in entries for entry in group.values()]
    named = set(settings.claude.env).union(*(chosen.get("env", ()) for chosen in options))
    return sorted(
        key for key in _STRAY if environ.get(key) or key in settings.dotenv if key not in named
    )


def facts(settings: Settings, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return which claude runs the tasks and who pays for it; nothing is run to find out."""
    from consumers import claude, version

    found = claude.locate(settings)
    about = {"path": None, "found_by": None, "version": ""}
    if isinstance(found, claude.Found):
        known = version.of(found.path, settings.var)
        about = {"path": str(found.path), "found_by": found.source, "version": known}
    return about | {
        "billed": credential_of(settings),
        "not_passed_on": stray(settings, environ),
    }


def sentences(known: Mapping[str, Any]) -> Iterator[str]:
    """Return one line on claude and who pays for it, and one on each key that is not passed on."""
    if known["path"]:
        name = f"Claude {known['version']}".rstrip()
        yield f"{name} ({known['found_by']}: {known['path']}), billed to {payer(known['billed'])}"
    for key in known["not_passed_on"]:
        yield f"{key} is set but not passed on; name it in `env:` under `claude:` to bill it."
