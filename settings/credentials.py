"""Which credential the variables of an environment name, in the order in which Claude Code looks at them."""

from collections.abc import Mapping

_THIRD_PARTIES = {
    "CLAUDE_CODE_USE_BEDROCK": "bedrock",
    "CLAUDE_CODE_USE_VERTEX": "vertex",
    "CLAUDE_CODE_USE_FOUNDRY": "foundry",
}
_VARIABLES = {
    "ANTHROPIC_API_KEY": "api_key",
    "ANTHROPIC_AUTH_TOKEN": "auth_token",
    "CLAUDE_CODE_OAUTH_TOKEN": "oauth_token",
}


def credential(env: Mapping[str, str]) -> str:
    """A third party's name, `api_key`, `auth_token` or `oauth_token`; empty when no variable names one."""
    for flag, name in _THIRD_PARTIES.items():
        if env.get(flag, "").lower() in ("1", "true", "yes", "on"):
            return name
    return next((name for variable, name in _VARIABLES.items() if env.get(variable)), "")
