"""A JSON API as a source: items and ids are picked with JMESPath, pages are followed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import jmespath
from jmespath.exceptions import JMESPathError

import settings as types
from producers.sources import Fetched, Item, SourceError
from producers.sources.access import Access
from producers.sources.command import refuse_constant
from producers.sources.place import Place
from producers.sources.web import Answer, Request, Web, joined, shown

#: Followed in one fetch; what is beyond is fetched from there at once, in the next.
PAGES_AT_ONCE = 20
#: An answer of more pages than this has no end: a page leads back to an earlier one.
MOST_PAGES = 2000


class Http:
    """Asks one address of an API, and the pages that follow."""

    def __init__(self, config: types.Http, web: Web, environ: Mapping[str, str]) -> None:
        """Raises SourceError for a path that cannot be read and a variable that is not there."""
        self.config, self.web = config, web
        self.access = Access(config, environ)
        self._items = _compiled("items", config.items)
        self._id = _compiled("id", config.id)
        self._next = None if config.next in (None, "link") else _compiled("next", config.next)

    def fetch(self, place: str, stopped: Callable[[], bool]) -> Fetched:
        """Every page from `place` on, PAGES_AT_ONCE at most, and none past an exhausted limit."""
        stood = Place.read(place, self.access.address)
        request = self._request(stood)
        items: list[Item] = []
        walked = {self.access.address, request.url}
        wait_s = 0.0
        for pages in range(stood.pages + 1, stood.pages + PAGES_AT_ONCE + 1):
            answer = self.web.ask(request, stopped)
            if answer.status == 304:
                return Fetched((), place, wait_s=answer.wait_s)
            wait_s = max(wait_s, answer.wait_s)
            data = _json(answer) if answer.status == 200 else []
            items += self._found(data, answer.url)
            to = self._next_page(data, answer)
            if to is None:
                return self._ended(items, answer, wait_s)
            request = self._following(to, walked, pages)
            if answer.limit_s:
                break
        where = self.access.without_secrets(request.url)
        on = Place(self.access.address, next=where, pages=pages)
        return Fetched(tuple(items), on.text(), more=True, wait_s=answer.limit_s)

    def _ended(self, items: list[Item], answer: Answer, wait_s: float) -> Fetched:
        """All is fetched. Validators of one page say nothing of the others, so only a single one's are kept."""
        anew = Place(self.access.address)
        single = self.config.next is None
        place = Place.of(self.access.address, answer.headers) if single else anew
        return Fetched(tuple(items), place.text(), wait_s=wait_s, again=anew.text())

    def _request(self, stood: Place) -> Request:
        body = None
        headers = dict(self.access.headers)
        if self.config.json is not None:
            body = json.dumps(self.config.json).encode()
            headers.setdefault("content-type", "application/json")
        headers.setdefault("accept", "application/json")
        url = self.access.with_secrets(stood.next) if stood.next else self.access.address
        headers |= {} if stood.next else stood.conditions()
        return Request(url, self.config.method, headers, body, self.access.secret)

    def _following(self, url: str, walked: set[str], pages: int) -> Request:
        """The request for another page: unconditional, to the same host, to no page for the second time."""
        mine, other = urlsplit(self.access.address), urlsplit(url)
        if self.access.secret and (mine.scheme, mine.netloc) != (other.scheme, other.netloc):
            raise SourceError(
                f"the next page is at {shown(url)}: credentials do not go to another host"
            )
        request = self._request(Place(self.access.address, next=url))
        if request.url in walked or pages >= MOST_PAGES:
            raise SourceError(f"{shown(url)}: after {pages} pages the next ones go in a circle")
        walked.add(request.url)
        return request

    def _found(self, data: Any, url: str) -> Iterator[Item]:
        found = _search(self._items, data, "items")
        if found is None and data == []:
            found = []
        if not isinstance(found, list):
            kind = "nothing" if found is None else f"a {type(found).__name__}"
            raise SourceError(
                f"{shown(url)}: `items: {self.config.items}` finds {kind} in the answer, not a list"
            )
        for number, item in enumerate(found, 1):
            yield self._item(item, number)

    def _item(self, item: Any, number: int) -> Item:
        if not isinstance(item, dict):
            raise SourceError(f"item {number} is no JSON object: {json.dumps(item)[:80]}")
        name = _search(self._id, item, "id")
        if isinstance(name, bool) or not isinstance(name, str | int | float) or name == "":
            raise SourceError(
                f"item {number}: `id: {self.config.id}` finds no text or number in it"
                f" (it has {', '.join(sorted(item))[:200]})"
            )
        return Item(str(name).encode("utf-8", "backslashreplace").decode(), item)

    def _next_page(self, data: Any, answer: Answer) -> str | None:
        if self.config.next == "link":
            to = _linked(answer.headers.get("link", ""))
            return joined(answer.url, to) if to else None
        if self._next is None:
            return None
        found = _search(self._next, data, "next")
        if found in (None, "", False):
            return None
        if not isinstance(found, str | int):
            raise SourceError(f"`next: {self.config.next}` finds neither text nor a number")
        if self.config.next_query is None:
            return joined(answer.url, str(found))
        return _with_query(self.access.address, self.config.next_query, str(found))


def _compiled(name: str, path: str | None) -> Any:
    try:
        return jmespath.compile(path or "@")
    except JMESPathError as error:
        first = str(error).splitlines()[0]
        raise SourceError(f"`{name}: {path}` is no JMESPath: {first}") from error


def _search(path: Any, data: Any, name: str) -> Any:
    try:
        return path.search(data)
    except (JMESPathError, TypeError, ValueError, RecursionError) as error:
        # Not all of it is JMESPath's own: a filter `score > 5` raises TypeError where one score is text.
        raise SourceError(f"`{name}: {path.expression}`: {error}") from error


def _json(answer: Answer) -> Any:
    try:
        return json.loads(answer.body.decode(), parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        kind = answer.headers.get("content-type", "no type")
        begin = ascii(answer.body[:60].decode("utf-8", "replace"))
        raise SourceError(
            f"{shown(answer.url)} answered no JSON ({kind}, {len(answer.body)} bytes): {begin}"
        ) from error


def _linked(header: str) -> str | None:
    """The target of rel="next" in a Link header (RFC 8288)."""
    for part in header.split(","):
        target, *parameters = part.split(";")
        words = [word.strip().lower().replace('"', "") for word in parameters]
        if "rel=next" in words and target.strip().startswith("<"):
            return target.strip()[1:-1]
    return None


def _with_query(url: str, name: str, value: str) -> str:
    parts = urlsplit(url)
    query = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0] != name]
    return urlunsplit(parts._replace(query=urlencode([*query, (name, value)])))


__all__ = ["PAGES_AT_ONCE", "Http"]
