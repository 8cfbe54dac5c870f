"""docs/configuration.md, made from the types of the settings: `python -m settings.reference` writes it.

What a value may be and what it is by default comes from types.py; the sentences, from meanings.py.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

import settings
from settings import meanings
from settings import redis as settings_redis
from settings.entries import Consumers
from settings.types import (
    Alerts,
    ClaudeOptions,
    ConsumerGroup,
    Feed,
    Http,
    Poller,
    Schedule,
    Watcher,
    Webhook,
)
from settings.values import (
    DURATION_WORDS,
    AtLeastOne,
    Duration,
    Host,
    Instance,
    Room,
    Size,
    Span,
    Text,
    Texts,
    Usd,
    allowed,
)

FILE = Path("docs") / "configuration.md"

_ENTRIES = Annotated[dict[str, Any], Meta(description="entries by name, see below")]
#: The single values at the top of baton.yaml, which several modules read.
TOP: dict[str, Any] = {
    "instance": Instance,
    "host": Host,
    "redis": settings_redis.Address,
    "redis_unsafe": settings_redis.Unsafe,
    "consumers": Consumers,
    "claude": Annotated[dict[str, Any], Meta(description="a mapping, see below")],
    "budget_usd_per_day": Usd,
    "budget_tokens_per_day": AtLeastOne,
    "timezone": Text,
    "keep_finished": Span,
    "keys_kept": Span,
    "attempts_max_size": Room,
    "max_memory": Room,
    "workspaces": Text,
    "watchers": _ENTRIES,
    "pollers": _ENTRIES,
    "schedules": _ENTRIES,
    "tasks": Texts,
    "alerts": Annotated[dict[str, Any], Meta(description="a mapping, see below")],
    "ping_url": Text,
}
_TOP_DEFAULTS = {
    "redis": "embedded",
    "redis_unsafe": "refuse",
    "host": "this machine's name",
    "consumers": 2,
    "claude": None,
    "workspaces": "~/.baton/workspaces/…",
    "watchers": None,
    "pollers": None,
    "schedules": None,
}
_HEAD = """# Configuration

Every key of `baton.yaml`, in the order in which one meets it. `baton.example.yaml` shows most of them at
work. Relative paths start in the folder of `baton.yaml`, `~` is your home folder, secrets stand in `.env`.
`./baton up` checks the whole file first and changes nothing when a line is wrong; it then restarts only
what a change concerns.

A duration is written 250ms, 90s, 5m, 1h30m or 2d; a bare number is seconds.

This page is made from the types that check the file, by `python -m settings.reference`; a test compares them.
"""


def page() -> str:
    """The whole page. Raises KeyError for a setting that meanings.py does not explain."""
    defaults = msgspec.structs.fields(settings.Settings)
    top = {info.name: info.default for info in defaults} | _TOP_DEFAULTS
    rows = [_row(name, kind, top[name], meanings.TOP[name]) for name, kind in TOP.items()]
    return "\n".join(
        [
            _HEAD,
            *_section("At the top", "", rows),
            *_section(
                "claude",
                "How Claude is run. Each may stand in a watcher, poller or schedule too, and in "
                "`claude(…)` in Python, and wins there.",
                [
                    _row("command", Text, None, meanings.CLAUDE["command"]),
                    *_rows(ClaudeOptions, meanings.CLAUDE, {"cwd": "the folder of baton.yaml"}),
                ],
            ),
            *_entry(
                "watchers.NAME",
                Watcher,
                meanings.WATCHER,
                {"done": "Done", "failed": "Failed", "queue": "host:…"},
            ),
            *_entry("pollers.NAME", Poller, meanings.POLLER, {}),
            *_section("pollers.NAME.http", "", _rows(Http, meanings.HTTP, {})),
            *_section("pollers.NAME.feed", "", _rows(Feed, meanings.FEED, {})),
            *_entry("schedules.NAME", Schedule, meanings.SCHEDULE, {}),
            *_section(
                "alerts", "Docs: [alerts.md](alerts.md).", _rows(Alerts, meanings.ALERTS, {})
            ),
            *_section("alerts.webhook", "", _rows(Webhook, meanings.WEBHOOK, {})),
            *_section("consumers, as a list", "", _rows(ConsumerGroup, meanings.GROUP, {})),
        ]
    )


def _entry(
    title: str, kind: type, words: Mapping[str, str], defaults: Mapping[str, str]
) -> list[str]:
    said = f"{(kind.__doc__ or '').splitlines()[0]} Every option of `claude` may stand here too."
    return _section(title, said, _rows(kind, {**meanings.ENTRY, **words}, defaults))


def _section(title: str, said: str, rows: list[str]) -> list[str]:
    head = ["| key | may be | otherwise | |", "|---|---|---|---|"]
    return [f"## {title}", "", *([said, ""] if said else []), *head, *rows, ""]


def _rows(kind: type, words: Mapping[str, str], defaults: Mapping[str, str]) -> list[str]:
    hints = get_type_hints(kind, include_extras=True)
    rows = []
    for info in msgspec.structs.fields(kind):
        if info.name in ("name", "options"):
            continue
        default = defaults.get(info.name, _default(info))
        rows.append(_row(info.name, hints[info.name], default, words[info.name]))
    return rows


def _default(info: msgspec.structs.FieldInfo) -> object:
    if info.required:
        return "must be said"
    made = info.default_factory
    return info.default if made is msgspec.NODEFAULT else made()


def _row(name: str, kind: Any, default: object, meaning: str) -> str:
    cells = (f"`{name}`", _allowed(kind), _shown(default), meaning)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _allowed(kind: Any) -> str:
    """As error messages say it; the parts of a choice that have no words of their own, by their type."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        return ", ".join(f"`{part}`" if part else '`""`' for part in parts)
    if origin in (Union, types.UnionType):
        return ", ".join(_allowed(part) for part in parts if part is not type(None))
    if origin is tuple and not hasattr(kind, "__metadata__"):
        return "a list of " + _allowed(parts[0])
    named = {
        Path: "a folder",
        Http: "a mapping",
        Feed: "a mapping",
        Webhook: "an address, or a mapping",
        dict[str, str]: "a mapping of text",
    }
    return named.get(kind) or allowed(kind).replace(DURATION_WORDS, "a duration")


def _shown(default: object) -> str:
    if default in (None, (), {}):
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return " ".join(f"`{word}`" for word in default)
    plain = isinstance(default, (Duration, Size, int, float))
    return f"`{default}`" if plain or " " not in str(default) else str(default)


def main() -> None:
    """Write the page where the repository keeps it."""
    (settings.ROOT / FILE).write_text(page())


if __name__ == "__main__":
    main()
