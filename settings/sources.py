"""The web sources of a poller: what `http:` and `feed:` may hold."""

from collections.abc import Iterable
from typing import Annotated, Any, get_type_hints
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from settings.document import Document, KeyPath, dotted
from settings.sections import Fields, bad, field, section, unknown_key
from settings.types import Feed, Http
from settings.values import BadValueError

_WORDS = Annotated[dict[str, str | int | float | bool], Meta(description="a mapping of text")]


def read_http(document: Document, path: KeyPath) -> Http:
    """The `http:` of a poller. Raises SettingsError."""
    fields = _fields(document, path, Http)
    if "next_query" in fields and fields.get("next") in (None, "link"):
        problem = f"{dotted((*path, 'next_query'))} stands without a `next` that finds its value"
        remedy = "Write next: a JMESPath to the cursor in the answer."
        raise document.error((*path, "next_query"), problem, remedy)
    if fields.get("json") is not None:
        fields.setdefault("method", "POST")
    return Http(**fields)


def read_feed(document: Document, path: KeyPath) -> Feed:
    """The `feed:` of a poller: an address, or a mapping with one. Raises SettingsError."""
    written: Any = document.values
    for part in path:
        written = written[part]
    if isinstance(written, str):
        return Feed(url=_address(document, path, written))
    return Feed(**_fields(document, path, Feed))


def variables(source: Http | Feed | None) -> Iterable[str]:
    """The names of the variables that a source takes from .env."""
    if source is None:
        return ()
    texts = [str(value) for value in (*source.headers.values(), *source.query.values())]
    named = {name.partition("}")[0] for text in texts for name in text.split("${")[1:]}
    return named.union(source.basic or (), [source.bearer] if source.bearer else ())


def _fields(document: Document, path: KeyPath, kind: type[Http] | type[Feed]) -> Fields:
    hints = get_type_hints(kind, include_extras=True)
    written = section(document, path)
    for key in written:
        if key not in hints:
            raise unknown_key(document, (*path, key), list(hints))
    found = {
        k: _one(document, (*path, k), v, hints[k]) for k, v in written.items() if v is not None
    }
    for info in msgspec.structs.fields(kind):
        if info.required and info.name not in found:
            raise document.error(path, f"{dotted(path)} has no {info.name}", f"Write {info.name}:.")
    if "url" in found:
        _address(document, (*path, "url"), found["url"])
    if found.get("bearer") and found.get("basic"):
        problem = f"{dotted(path)} has both bearer and basic"
        raise document.error(path, problem, "One request carries one credential: keep one.")
    return found


def _one(document: Document, path: KeyPath, value: object, kind: Any) -> Any:
    if path[-1] in ("headers", "query"):
        return words(document, path, value)
    return field(document, path, value, kind)


def words(document: Document, path: KeyPath, value: object) -> dict[str, str]:
    """A mapping of text, such as headers. Raises SettingsError."""
    plain = field(document, path, value, _WORDS)
    return {name: str(word) for name, word in plain.items()}


def _address(document: Document, path: KeyPath, url: str) -> str:
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname)
        secret = parts.password is not None
    except ValueError:
        whole = secret = False
    if not whole:
        allowed = "a web address that begins with https:// or http://"
        raise bad(document, path, BadValueError(url, allowed))
    if secret:
        problem = f"{dotted(path)} has a password in it"
        remedy = "Write user and password into .env, and their names as basic: [USER, PASSWORD]."
        raise document.error(path, problem, remedy)
    return url
