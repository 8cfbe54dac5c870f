"""Who pays for Claude's work, in words; and a key that lies about but is not used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

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
    """Return the keys that are in the environment or in `.env` and that no task is given by `claude.env`."""
    there = {name for name in _STRAY if environ.get(name) or name in settings.dotenv}
    return sorted(there - set(settings.claude.env))
