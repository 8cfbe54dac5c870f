"""The address and headers of a web source, with its credentials, whose values stand in .env."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import settings as types
from producers.sources import SourceError

#: Headers that carry no secret; any other that is written in baton.yaml may.
_HARMLESS = frozenset(
    ("accept", "accept-language", "cache-control", "content-type", "from", "user-agent")
)
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Access:
    """What is sent along. `${NAME}` in a header or in the query is a variable of .env."""

    def __init__(self, config: types.Http | types.Feed, environ: Mapping[str, str]) -> None:
        """Raises SourceError for a variable that has no value."""
        self._environ = environ
        self.secret = bool(config.bearer or config.basic)
        self.headers = {name.lower(): self._filled(value) for name, value in config.headers.items()}
        self.secret = self.secret or not _HARMLESS.issuperset(self.headers)
        self._secret_query = {
            name: self._filled(text)
            for name, text in config.query.items()
            if _VARIABLE.search(text)
        }
        self.address = self._address(config)
        if config.bearer:
            self.headers["authorization"] = f"Bearer {self._value(config.bearer)}"
        if config.basic:
            user, password = (self._value(name) for name in config.basic)
            encoded = base64.b64encode(f"{user}:{password}".encode()).decode()
            self.headers["authorization"] = f"Basic {encoded}"

    def without_secrets(self, url: str) -> str:
        """The address of a page without the parameters that carry one: what may be written down."""
        parts = urlsplit(url)
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        kept = [pair for pair in pairs if pair[0] not in self._secret_query]
        return urlunsplit(parts._replace(query=urlencode(kept)))

    def with_secrets(self, url: str) -> str:
        """The same address with them."""
        parts = urlsplit(url)
        there = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
        more = urlencode({n: v for n, v in self._secret_query.items() if n not in there})
        joined = "&".join(text for text in (parts.query, more) if text)
        return urlunsplit(parts._replace(query=joined))

    def _address(self, config: types.Http | types.Feed) -> str:
        query = {name: self._filled(text) for name, text in config.query.items()}
        parts = urlsplit(config.url)
        joined = "&".join(text for text in (parts.query, urlencode(query)) if text)
        return urlunsplit(parts._replace(query=joined))

    def _filled(self, text: str) -> str:
        if _VARIABLE.search(text):
            self.secret = True
        return _VARIABLE.sub(lambda found: self._value(found[1]), text)

    def _value(self, name: str) -> str:
        value = self._environ.get(name, "")
        if not value:
            raise SourceError(f"the variable {name} has no value: write it into .env")
        return value
