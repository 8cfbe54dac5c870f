"""An RSS or Atom feed as a source. feedparser reads bytes that we fetched: its own fetching knows no time limit."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from typing import Any

import settings as types
from producers.sources import Fetched, Item, SourceError
from producers.sources.access import Access
from producers.sources.place import Place
from producers.sources.web import Request, Web, shown

_ACCEPT = "application/atom+xml, application/rss+xml, application/xml;q=0.9, */*;q=0.5"
_TEXTS = ("title", "link", "author", "published", "updated", "summary")
_ENDS = (b"</rss>", b"</feed>", b"</rdf:rdf>")


class Feed:
    """Asks for one feed."""

    def __init__(self, config: types.Feed, web: Web, environ: Mapping[str, str]) -> None:
        """Raises SourceError for a variable that is not there."""
        self.web, self.access = web, Access(config, environ)

    def fetch(self, place: str, stopped: Callable[[], bool]) -> Fetched:
        """The entries of the feed, the oldest first."""
        stood = Place.read(place, self.access.address)
        headers = {"accept": _ACCEPT, **self.access.headers, **stood.conditions()}
        request = Request(self.access.address, "GET", headers, None, self.access.secret)
        answer = self.web.ask(request, stopped)
        if answer.status == 304:
            return Fetched((), place, wait_s=answer.wait_s)
        items = parse(answer.body, answer.headers.get("content-type", ""), answer.url)
        after, anew = Place.of(self.access.address, answer.headers), Place(self.access.address)
        return Fetched(items, after.text(), wait_s=answer.wait_s, again=anew.text())


def parse(body: bytes, content_type: str, url: str) -> tuple[Item, ...]:
    """The entries, the oldest first. Raises SourceError for what is no whole feed."""
    import feedparser  # half a second, that only a poller of a feed pays

    headers = {"content-type": content_type, "content-location": url}
    try:
        found = feedparser.parse(io.BytesIO(body), response_headers=headers)
    except Exception as error:  # it raises anything: at a number that is no character, for one
        words = f"{type(error).__name__}: {str(error)[:200]}"
        raise SourceError(f"{shown(url)}: the feed cannot be read: {words}") from error
    if not found.get("version"):
        begin = ascii(body[:60].decode("utf-8", "replace"))
        raise SourceError(f"{shown(url)} answered no feed ({len(body)} bytes): {begin}")
    if found.get("bozo") and not body.rstrip().lower().endswith(_ENDS):
        raise SourceError(f"{shown(url)}: the feed was cut off: {found.get('bozo_exception')}")
    return tuple(_item(entry) for entry in reversed(found.entries))


def _item(entry: Mapping[str, Any]) -> Item:
    data: dict[str, Any] = {name: str(entry[name]) for name in _TEXTS if entry.get(name)}
    if content := entry.get("content"):
        data["content"] = str(content[0].get("value", ""))
    if tags := entry.get("tags"):
        data["tags"] = [str(tag.get("term")) for tag in tags if tag.get("term")]
    name = str(entry.get("id") or entry.get("link") or _digest(data))
    return Item(name, {"id": name, **data})


def _digest(data: Mapping[str, Any]) -> str:
    """For an entry that names neither id nor link: its title and text are what it is."""
    text = "\n".join(str(data.get(name, "")) for name in ("title", "summary", "content"))
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]
