"""Where alerts and pings go: what `alerts:` and a `ping_url` may hold."""

import re
from collections.abc import Iterable
from typing import Any, get_type_hints
from urllib.parse import urlsplit

from settings.document import Document, KeyPath, dotted
from settings.sections import Fields, bad, command_words, field, program, section, unknown_key
from settings.sources import words
from settings.types import Alerts, Schedule, Webhook
from settings.values import BadValueError, Text

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
#: The most that one delivery may take, s.
LONGEST_S = 60.0
_ADDRESS = "a web address that begins with https:// or http://, or ${NAME} for one in .env"


def read_alerts(document: Document) -> Alerts | None:
    """The section `alerts:`; None without one. Raises SettingsError."""
    path: KeyPath = ("alerts",)
    if document.values.get("alerts") is None:
        return None
    hints = get_type_hints(Alerts, include_extras=True)
    written = section(document, path)
    _refuse_unknown(document, path, written, list(hints))
    ways = [key for key in ("webhook", "command") if written.get(key) is not None]
    if len(ways) != 1:
        state = "both webhook and command" if ways else "neither webhook nor command"
        remedy = "Write one of them: webhook: an address, or command: a program."
        raise document.error(path, f"{dotted(path)} has {state}", remedy)
    found = {key: value for key, value in written.items() if value is not None}
    if "command" in found:
        found["command"] = _command(document, (*path, "command"), found["command"])
    checked: Fields = {key: _one(document, (*path, key), found[key], hints[key]) for key in found}
    alerts = Alerts(**checked)
    if alerts.timeout > LONGEST_S:
        allowed = f"a duration up to {LONGEST_S:.0f}s: one alert waits for the other"
        raise bad(document, (*path, "timeout"), BadValueError(written["timeout"], allowed))
    return alerts


def read_ping_url(document: Document) -> str | None:
    """The address that says that the instance lives; None without one. Raises SettingsError."""
    written = document.values.get("ping_url")
    return None if written is None else address(document, ("ping_url",), written)


def address(document: Document, path: KeyPath, written: object) -> str:
    """A web address, of which `${NAME}` may be a part. Raises SettingsError."""
    url: str = field(document, path, written, Text)
    if _VARIABLE.match(url):
        return url
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and bool(parts.netloc)
    except ValueError:
        whole = False
    if not whole:
        raise bad(document, path, BadValueError(url, _ADDRESS))
    return url


def variables(
    alerts: Alerts | None, ping_url: str | None, schedules: Iterable[Schedule]
) -> set[str]:
    """The names of the variables that alerts and pings take from .env."""
    texts = [ping_url, *(schedule.ping_url for schedule in schedules)]
    found = set(alerts.env) if alerts else set()
    if alerts and alerts.webhook:
        texts += [alerts.webhook.url, *alerts.webhook.headers.values()]
    return found.union(*(_VARIABLE.findall(text) for text in texts if text))


def _one(document: Document, path: KeyPath, value: object, kind: Any) -> Any:
    if path[-1] == "webhook":
        return _webhook(document, path, value)
    return field(document, path, value, kind)


def _webhook(document: Document, path: KeyPath, written: object) -> Webhook:
    if isinstance(written, str):
        return Webhook(url=address(document, path, written))
    fields = section(document, path)
    _refuse_unknown(document, path, fields, ["url", "headers"])
    if fields.get("url") is None:
        raise document.error(path, f"{dotted(path)} has no url", "Write url: the address.")
    url = address(document, (*path, "url"), fields["url"])
    headers = fields.get("headers")
    if headers is None:
        return Webhook(url=url)
    return Webhook(url=url, headers=words(document, (*path, "headers"), headers))


def _command(document: Document, path: KeyPath, written: Any) -> Any:
    if isinstance(written, str):
        try:
            written = command_words(written)
        except ValueError as error:
            raise bad(document, path, error) from error
    if isinstance(written, list) and written and isinstance(written[0], str):
        return [program(written[0], document.file.parent), *written[1:]]
    return written


def _refuse_unknown(document: Document, path: KeyPath, written: Fields, known: list[str]) -> None:
    for key in written:
        if key not in known:
            raise unknown_key(document, (*path, key), known)
