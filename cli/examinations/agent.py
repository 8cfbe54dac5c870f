"""Claude: found, its version, who is billed, its login, and what it may do without being asked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cli import billing
from cli.examinations.findings import Finding

if TYPE_CHECKING:
    from settings import Settings

_BYPASS = "bypassPermissions"


def examine(settings: Settings) -> Iterator[Finding]:
    """Findings on claude, and on the options of every entry."""
    yield from _tasks(settings)
    yield from _claude(settings)


def _claude(settings: Settings) -> Iterator[Finding]:
    from consumers import claude

    known = billing.facts(settings, os.environ)
    found = claude.locate(settings)
    if isinstance(found, claude.Missing):
        yield Finding("bad", "claude", "Claude Code is not found; its tasks wait", found.remedy)
        return
    named, *stray = billing.sentences(known)
    yield from (Finding("warn", "claude", words) for words in stray)
    if known["billed"] == "none":
        yield Finding("bad", "claude", named, "./baton login")
    else:
        yield Finding("ok", "claude", named)
        yield _login(str(found.path), settings)


def _login(path: str, settings: Settings) -> Finding:
    """What claude itself says of its login, in the environment that a task has."""
    from consumers import claude

    env = claude.environment(settings.environ, settings.claude.env, "/tmp", "")  # noqa: S108
    said = claude.login_state(path, env)
    if said.logged_in is None:
        remedy = f"run it by hand: {path} auth status"
        return Finding("warn", "login", "claude does not say whether it is logged in", remedy)
    if said.logged_in:
        return Finding("ok", "login", f"claude has a credential ({said.method or 'unnamed'})")
    return Finding("bad", "login", "claude has no credential", "./baton login")


def _tasks(settings: Settings) -> Iterator[Finding]:
    """The user's own tasks, and what they and the entries of baton.yaml let Claude do."""
    if settings.mistake:  # which keeps them from being loaded
        yield from permissions(settings, {})
        return
    import tasks
    from durable.errors import BatonError

    try:
        tasks.load_user_tasks()
    except BatonError as error:
        yield Finding("bad", "tasks", str(error), "correct the module, then ./baton up")
    known = tasks.huey._registry._registry.items()
    decorated = {
        f"@claude.task {name}": kind.claude_options
        for name, kind in known
        if hasattr(kind, "claude_options")
    }
    yield from permissions(settings, decorated)


def permissions(
    settings: Settings, decorated: Mapping[str, Mapping[str, Any]]
) -> Iterator[Finding]:
    """What somebody has spelled out that lets Claude, or a folder, do more than the defaults do."""
    for entry, options in _spelled(settings, decorated):
        if options.get("permission_mode") == _BYPASS:
            words = f"{entry}: permission_mode is {_BYPASS}: Claude may do anything that you may"
            remedy = "list what it needs in allowed_tools, with permission_mode: dontAsk"
            yield Finding("warn", "rights", words, remedy)
        trusted = {"project", "local"} & set(options.get("setting_sources") or ())
        if trusted:
            words = (
                f"{entry}: setting_sources has {' and '.join(sorted(trusted))}: the hooks and "
                "permissions that lie in the folder count, and they are code"
            )
            yield Finding("warn", "rights", words, "only for folders that you trust")


def _spelled(
    settings: Settings, decorated: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    from msgspec import structs

    yield "claude:", structs.asdict(settings.claude)
    for part in ("watchers", "pollers", "schedules"):
        for name, entry in getattr(settings, part).items():
            yield f"{part}.{name}", entry.options
    yield from decorated.items()
