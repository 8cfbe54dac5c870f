"""JSON APIs and feeds as sources: a real server on loopback answers well, badly, and not at all."""

from __future__ import annotations

import gzip
import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from producers.sources import Fetched, RefusedError, SourceError, Stopped
from producers.sources import http as source
from producers.sources.feed import Feed
from producers.sources.http import PAGES_AT_ONCE, Http
from producers.sources.web import SIZE_LIMIT, Web, asked_to_wait, shown
from settings import Feed as FeedConfig
from settings import Http as HttpConfig
from tests.integration.web_server import Asked, Reply, WebServer, serving

ENVIRON = {"TOKEN": "s3cret", "NAME": "mylogin", "WORD": "pass:word"}


@pytest.fixture
def web() -> Iterator[WebServer]:
    with serving() as server:
        yield server


def said(data: Any, **fields: Any) -> Reply:
    return Reply(json.dumps(data).encode(), **fields)


def http(web: WebServer, path: str = "/", timeout_s: float = 5.0, **fields: Any) -> Http:
    return Http(HttpConfig(url=web.url + path, **fields), Web(timeout_s), ENVIRON)


def fetch(source: Http | Feed, place: str = "") -> Fetched:
    return source.fetch(place, lambda: False)


def ids(fetched: Fetched) -> list[str]:
    return [item.id for item in fetched.items]


def refused(source: Http | Feed, place: str = "") -> str:
    """Why a fetch took nothing; no secret may stand in it."""
    with pytest.raises(SourceError) as error:
        fetch(source, place)
    assert not any(secret in str(error.value) for secret in ENVIRON.values())
    return str(error.value)


# -- items


def test_items_and_ids_are_picked_out_of_the_answer(web: WebServer) -> None:
    web.replies["/"] = said({"data": {"rows": [{"key": {"n": 1}, "t": "a"}, {"key": {"n": "x"}}]}})
    found = fetch(http(web, items="data.rows", id="key.n"))
    assert ids(found) == ["1", "x"]
    assert found.items[0].data == {"key": {"n": 1}, "t": "a"}
    web.replies["/"] = said([])
    assert fetch(http(web)).items == ()


@pytest.mark.parametrize(
    ("answer", "fields", "words"),
    [
        ({"rows": 1}, {"items": "rows"}, "finds a int in the answer, not a list"),
        ({"a": 1}, {"items": "rows"}, "finds nothing in the answer, not a list"),
        ([{"name": "x"}], {}, "`id: id` finds no text or number in it (it has name)"),
        ([{"id": True}], {}, "finds no text or number"),
        (["x"], {}, "item 1 is no JSON object"),
    ],
)
def test_an_answer_of_another_shape_is_refused_whole(
    web: WebServer, answer: Any, fields: dict[str, Any], words: str
) -> None:
    web.replies["/"] = said(answer)
    assert words in refused(http(web, **fields))


def test_a_path_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(SourceError, match=r"`items: \[\[` is no JMESPath"):
        Http(HttpConfig(url="http://x", items="[["), Web(1), {})


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(b"<html>down</html>", headers={"content-type": "text/html"}), "no JSON (text/html"),
        (Reply(b'[{"id": 1}', headers={}), "no JSON"),
        (Reply(b'[{"id": NaN}]'), "no JSON"),
        (Reply(b"\xff\xfe"), "no JSON"),
        (Reply(b""), "no JSON (no type, 0 bytes)"),
        (Reply(b'[{"id": 1}, {"id"', length=400), "cut off"),
        (Reply(b"nonsense", headers={"content-encoding": "gzip"}), "cannot be unpacked"),
        (Reply(b"[]", status=500), "answered 500"),
        (Reply(b"", status=404), "answered 404"),
        (Reply(b"[]", status=206), "answered 206"),
        (Reply(b"x" * (SIZE_LIMIT + 1)), "more than 20 MB"),
        (
            Reply(gzip.compress(b" " * (SIZE_LIMIT + 1)), headers={"content-encoding": "gzip"}),
            "more than 20 MB",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_failed_poll_is_never_an_empty_one(web: WebServer, reply: Reply, words: str) -> None:
    web.replies["/"] = reply
    assert words in refused(http(web))


def test_a_gzipped_answer_is_read(web: WebServer) -> None:
    packed = gzip.compress(b'[{"id": 1}]')
    web.replies["/"] = Reply(packed, headers={"content-encoding": "gzip"})
    assert ids(fetch(http(web))) == ["1"]


def test_nobody_there_is_said_without_the_query() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        source = Http(HttpConfig(url=url, query={"key": "${TOKEN}"}), Web(5.0), ENVIRON)
    assert "refused" in refused(source)
    assert shown("https://user:pass@host:8/a/b?key=x#y") == "https://host:8/a/b"


# -- time


def test_an_answer_that_drips_is_given_up_after_the_whole_time(web: WebServer) -> None:
    def drip() -> Iterator[bytes]:
        for _ in range(200):
            yield b" "
            time.sleep(0.05)

    web.replies["/"] = Reply(drip=drip)
    begun = time.monotonic()
    assert "no whole answer after 0.5 s" in refused(http(web, timeout_s=0.5))
    assert time.monotonic() - begun < 5


def test_headers_that_drip_are_given_up_after_the_whole_time(web: WebServer) -> None:
    def answer(asked: Asked) -> Reply:
        return Reply(b"[]", headers={"X-Long": "x"}, slowly=0.2)

    web.replies["/"] = answer
    begun = time.monotonic()
    assert "no whole answer after 0.5 s" in refused(http(web, timeout_s=0.5))
    assert time.monotonic() - begun < 4
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_an_answer_that_never_comes_is_given_up(web: WebServer) -> None:
    def never() -> Iterator[bytes]:
        time.sleep(3)
        yield b""

    web.replies["/"] = Reply(drip=never)
    assert "stopped answering" in refused(http(web, timeout_s=0.5))


def test_a_stop_leaves_a_fetch(web: WebServer) -> None:
    web.replies["/"] = said([{"id": 1}])
    with pytest.raises(Stopped):
        http(web).fetch("", lambda: True)


NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"retry-after": "120"}, 120),
        ({"retry-after": "Fri, 15 Jan 2027 08:01:00 GMT"}, 60),
        ({"retry-after": "soon"}, 0),
        ({"retry-after": "99999999"}, 86_400),
        ({"retry-after": "Mon, 01 Jan 99999999999999 00:00:00 GMT"}, 0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1800000090"}, 90),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "30"}, 30),
        ({"x-ratelimit-remaining": "7", "x-ratelimit-reset": "1800000090"}, 0),
        ({"x-rate-limit-remaining": "0", "x-rate-limit-reset": "1800000090"}, 90),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "1800000090"}, 90),
        ({"cache-control": "private, max-age=300"}, 300),
        ({"cache-control": "no-store, max-age=0"}, 0),
    ],
)
def test_how_long_a_server_wants_to_be_left_alone(headers: dict[str, str], seconds: int) -> None:
    assert asked_to_wait(headers, NOW) == seconds


def test_a_limit_says_when_to_come_again(web: WebServer) -> None:
    web.replies["/"] = Reply(status=429, headers={"Retry-After": "77"})
    with pytest.raises(SourceError) as error:
        fetch(http(web))
    assert error.value.wait_s == 77
    web.replies["/"] = Reply(status=403, headers={"Retry-After": "5"})
    with pytest.raises(SourceError) as error:
        fetch(http(web))
    assert not isinstance(error.value, RefusedError), "GitHub's second limit is a 403"
    web.replies["/"] = said([], headers={"Cache-Control": "max-age=600"})
    assert fetch(http(web)).wait_s == 600


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_another_thing_than_a_failure(web: WebServer, status: int) -> None:
    web.replies["/"] = Reply(status=status)
    with pytest.raises(RefusedError, match="credentials are refused"):
        fetch(http(web, bearer="TOKEN"))


@pytest.mark.parametrize(("status", "kind"), [(404, SourceError), (403, RefusedError)])
def test_how_long_an_error_may_be_cached_is_no_wish_to_be_left_alone(
    web: WebServer, status: int, kind: type[SourceError]
) -> None:
    web.replies["/"] = Reply(status=status, headers={"Cache-Control": "max-age=86400"})
    with pytest.raises(kind) as error:
        fetch(http(web))
    assert error.value.wait_s == 0.0


# -- conditional requests


def conditional(etag: str, data: Any) -> Callable[[Asked], Reply]:
    def answer(asked: Asked) -> Reply:
        if asked.headers.get("if-none-match") == etag:
            return Reply(status=304)
        return said(data, headers={"ETag": etag, "Last-Modified": "yesterday"})

    return answer


def test_what_has_not_changed_is_not_sent_again(web: WebServer) -> None:
    web.replies["/"] = conditional('"1"', [{"id": 1}])
    first = fetch(http(web))
    second = fetch(http(web), first.place)
    assert (ids(first), ids(second)) == (["1"], [])
    assert second.place == first.place
    assert web.asked[1].headers["if-modified-since"] == "yesterday"
    web.replies["/"] = conditional('"2"', [{"id": 2}])
    assert ids(fetch(http(web), second.place)) == ["2"]


def test_the_validators_of_another_address_are_not_used(web: WebServer) -> None:
    web.replies["/"] = conditional('"1"', [{"id": 1}])
    web.replies["/other"] = conditional('"1"', [{"id": 2}])
    place = fetch(http(web)).place
    assert ids(fetch(http(web, "/other"), place)) == ["2"]
    assert ids(fetch(http(web), "garbage")) == ["1"]


# -- pages


def test_pages_are_followed_by_the_link_header(web: WebServer) -> None:
    web.replies["/"] = said([{"id": 1}], headers={"Link": '</2>; rel="next", </9>; rel="last"'})
    web.replies["/2"] = said([{"id": 2}], headers={"Link": "</>; rel=prev"})
    assert ids(fetch(http(web, next="link"))) == ["1", "2"]


def test_pages_are_followed_by_an_address_or_a_cursor_in_the_answer(web: WebServer) -> None:
    web.replies["/"] = said({"rows": [{"id": 1}], "next": "/b"})
    web.replies["/b"] = said({"rows": [{"id": 2}], "next": None})
    assert ids(fetch(http(web, items="rows", next="next"))) == ["1", "2"]
    web.replies["/?k=s3cret&size=2"] = said({"rows": [{"id": 1}], "meta": {"cursor": "a b"}})
    web.replies["/?k=s3cret&size=2&after=a+b"] = said({"rows": [{"id": 2}], "meta": {"cursor": ""}})
    query = {"k": "${TOKEN}", "size": "2"}
    paged = http(web, items="rows", next="meta.cursor", next_query="after", query=query)
    assert ids(fetch(paged)) == ["1", "2"]


def test_a_page_that_fails_takes_nothing(web: WebServer) -> None:
    web.replies["/"] = said([{"id": 1}], headers={"Link": '</2>; rel="next"'})
    web.replies["/2"] = Reply(status=502)
    assert "answered 502" in refused(http(web, next="link"))


def test_more_pages_than_one_fetch_follows_are_fetched_from_there(web: WebServer) -> None:
    pages = PAGES_AT_ONCE + 5

    def page(asked: Asked) -> Reply:
        number = int(asked.path.partition("page=")[2].partition("&")[0] or 0)
        headers = {"ETag": '"7"'} if number == 0 else {}
        if number < pages - 1:
            headers["Link"] = f'<{web.url}/?page={number + 1}&key=s3cret>; rel="next"'
        return said([{"id": number}], headers=headers)

    class Everything(dict):  # type: ignore[type-arg]
        def get(self, path: str, default: object = None) -> Any:
            return page

    web.replies = Everything()
    source = http(web, next="link", query={"key": "${TOKEN}"})
    first = fetch(source)
    assert (len(first.items), first.more) == (PAGES_AT_ONCE, True)
    assert "s3cret" not in first.place
    second = fetch(source, first.place)
    assert (ids(second), second.more) == ([str(n) for n in range(PAGES_AT_ONCE, pages)], False)
    assert all("key=s3cret" in asked.path for asked in web.asked)


def test_a_new_item_on_a_later_page_is_seen_though_the_first_page_is_as_it_was(
    web: WebServer,
) -> None:
    def first(asked: Asked) -> Reply:
        if asked.headers.get("if-none-match") == '"1"':
            return Reply(status=304)
        return said([{"id": 1}], headers={"ETag": '"1"', "Link": '</2>; rel="next"'})

    web.replies["/"] = first
    web.replies["/2"] = said([{"id": 2}], headers={"ETag": '"1"'})
    place = fetch(http(web, next="link")).place
    web.replies["/2"] = said([{"id": 2}, {"id": 3}])
    assert ids(fetch(http(web, next="link"), place)) == ["1", "2", "3"]


def test_pages_that_go_in_a_circle_are_an_error_and_not_asked_for_ever(web: WebServer) -> None:
    web.replies["/"] = said([{"id": 1}], headers={"Link": '</2>; rel="next"'})
    web.replies["/2"] = said([{"id": 2}], headers={"Link": '</2>; rel="next"'})
    assert "in a circle" in refused(http(web, next="link"))
    web.replies["/2"] = said([{"id": 2}], headers={"Link": '</>; rel="next"'})
    assert "in a circle" in refused(http(web, next="link"))


def test_a_circle_of_many_pages_ends_too(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MOST_PAGES", 45)

    def page(asked: Asked) -> Reply:
        number = (int(asked.path.partition("page=")[2] or 0) + 1) % 40 + 2
        return said([{"id": number}], headers={"Link": f'</?page={number}>; rel="next"'})

    web.replies = dict.fromkeys(["/", *(f"/?page={n}" for n in range(50))], page)
    place = ""
    for _ in range(2):
        found = fetch(http(web, next="link"), place)
        place = found.place
        assert found.more
    assert "after 45 pages" in refused(http(web, next="link"), place)


def test_no_page_is_asked_for_past_an_exhausted_limit(web: WebServer) -> None:
    used_up = {
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": "50",
        "Cache-Control": "max-age=9",
    }
    web.replies["/"] = said([{"id": 1}], headers={"Link": '</2>; rel="next"', **used_up})
    web.replies["/2"] = said([{"id": 2}])
    first = fetch(http(web, next="link"))
    assert (ids(first), first.more, first.wait_s) == (["1"], True, 50.0)
    assert ids(fetch(http(web, next="link"), first.place)) == ["2"]


def test_what_could_not_be_taken_is_asked_for_again_in_full(web: WebServer) -> None:
    web.replies["/"] = conditional('"1"', [{"id": 1}])
    found = fetch(http(web))
    assert found.again is not None
    assert ids(fetch(http(web), found.again)) == ["1"]


# -- credentials, redirects


def test_credentials_and_headers_come_from_the_variables(web: WebServer) -> None:
    web.replies["/?q=s3cret"] = web.replies["/"] = said([])
    fetch(http(web, bearer="TOKEN", headers={"X-Key": "k-${TOKEN}"}))
    fetch(http(web, basic=("NAME", "WORD"), query={"q": "${TOKEN}"}))
    one, two = web.asked
    assert (one.headers["authorization"], one.headers["x-key"]) == ("Bearer s3cret", "k-s3cret")
    assert two.headers["authorization"] == "Basic bXlsb2dpbjpwYXNzOndvcmQ="
    with pytest.raises(SourceError, match="the variable MISSING has no value"):
        http(web, bearer="MISSING")


def test_a_post_sends_its_json(web: WebServer) -> None:
    web.replies["/"] = said([])
    fetch(http(web, method="POST", json={"query": "x"}))
    [asked] = web.asked
    assert (asked.method, json.loads(asked.body)) == ("POST", {"query": "x"})
    assert asked.headers["content-type"] == "application/json"


def test_a_redirect_is_followed_but_not_with_credentials_to_another_host(web: WebServer) -> None:
    web.replies["/"] = Reply(status=302, headers={"Location": "/there"})
    web.replies["/there"] = said([{"id": 1}])
    assert ids(fetch(http(web, bearer="TOKEN"))) == ["1"]
    elsewhere = f"http://localhost:{web.server.server_address[1]}/there"
    web.replies["/"] = Reply(status=301, headers={"Location": elsewhere})
    assert ids(fetch(http(web))) == ["1"]
    before = len(web.asked)
    assert "credentials do not go to another host" in refused(http(web, bearer="TOKEN"))
    assert "credentials do not go" in refused(http(web, headers={"x": "${TOKEN}"}))
    assert "credentials do not go" in refused(http(web, headers={"X-Key": "written here"}))
    assert [asked.path for asked in web.asked[before:]] == ["/", "/", "/"]
    assert ids(fetch(http(web, headers={"Accept": "text/x-json"}))) == ["1"]
    web.replies["/"] = Reply(status=302, headers={"Location": "file:///etc/passwd"})
    assert "no web address" in refused(http(web))


@pytest.mark.parametrize("items", ["[?score > `5`]", "[::0]"])
def test_items_that_cannot_be_picked_are_a_failure_like_any_other(
    web: WebServer, items: str
) -> None:
    web.replies["/"] = said([{"id": 1, "score": 7}, {"id": 2, "score": "n/a"}])
    assert f"`items: {items}`" in refused(http(web, items=items))


@pytest.mark.parametrize("nowhere", ["http://[", "//[::1", "http://127.0.0.1:port/"])
def test_an_address_that_is_none_is_a_failure_like_any_other(web: WebServer, nowhere: str) -> None:
    web.replies["/"] = Reply(status=302, headers={"Location": nowhere})
    assert "is no address" in refused(http(web))
    web.replies["/"] = said([{"id": 1}], headers={"Link": f'<{nowhere}>; rel="next"'})
    assert "is no address" in refused(http(web, next="link"))
    web.replies["/"] = said({"data": [{"id": 1}], "next": nowhere})
    assert "is no address" in refused(http(web, items="data", next="next"))


def test_a_redirect_loop_ends(web: WebServer) -> None:
    web.replies["/"] = Reply(status=302, headers={"Location": "/"})
    assert "more than 5 times" in refused(http(web))


# -- feeds

ATOM = b"""<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom"><title>News</title>
<entry><id>urn:2</id><title>Second &amp; last</title><link href="/2"/>
 <updated>2026-11-02T00:00:00Z</updated><content type="html">&lt;b&gt;hi&lt;/b&gt;</content>
 <category term="x"/></entry>
<entry><id>urn:1</id><title>First</title><updated>2026-11-01T00:00:00Z</updated></entry>
</feed>"""
RSS = b"""<rss version="2.0"><channel><title>News</title>
<item><title>No id</title><link>http://x/1</link></item>
<item><title>Neither</title><description>Text</description></item>
</channel></rss>"""


def feed(web: WebServer, **fields: Any) -> Feed:
    return Feed(FeedConfig(url=web.url + "/", **fields), Web(5.0), ENVIRON)


def test_the_entries_of_a_feed_are_items_the_oldest_first(web: WebServer) -> None:
    web.replies["/"] = Reply(ATOM, headers={"content-type": "application/atom+xml"})
    found = fetch(feed(web))
    assert ids(found) == ["urn:1", "urn:2"]
    last = found.items[1].data
    assert (last["title"], last["link"], last["tags"]) == (
        "Second & last",
        web.url + "/2",
        ["x"],
    )
    assert last["content"] == "<b>hi</b>"
    assert json.loads(json.dumps(last)) == last


def test_an_entry_without_an_id_is_known_by_its_link_or_its_text(web: WebServer) -> None:
    web.replies["/"] = Reply(RSS)
    once, again = fetch(feed(web)), fetch(feed(web))
    assert ids(once) == ids(again)
    assert ids(once)[1] == "http://x/1"
    assert ids(once)[0].startswith("sha256:")


def test_a_feed_that_is_cut_off_or_none_is_refused(web: WebServer) -> None:
    web.replies["/"] = Reply(ATOM[: len(ATOM) // 2])
    assert "cut off" in refused(feed(web))
    for body in (b"", b"<html><body>Sorry</body></html>", b"{}"):
        web.replies["/"] = Reply(body)
        assert "no feed" in refused(feed(web))


@pytest.mark.parametrize("odd", [b"&#x110000;", b"&#99999999999;", b"&#xD800;"])
def test_a_feed_that_its_parser_falls_over_is_refused(web: WebServer, odd: bytes) -> None:
    """Such a number is no character, and elsewhere than in a text the parser does not look after it."""
    web.replies["/"] = Reply(ATOM.replace(b"<updated>", odd + b"<updated>&", 1))
    assert "the feed cannot be read" in refused(feed(web))


def test_a_feed_with_a_small_mistake_is_read(web: WebServer) -> None:
    web.replies["/"] = Reply(RSS.replace(b"No id", b"Fish & chips"))
    assert len(fetch(feed(web)).items) == 2


def test_a_feed_asks_conditionally(web: WebServer) -> None:
    def answer(asked: Asked) -> Reply:
        if asked.headers.get("if-none-match") == '"f"':
            return Reply(status=304)
        return Reply(ATOM, headers={"ETag": '"f"'})

    web.replies["/"] = answer
    first = fetch(feed(web))
    assert fetch(feed(web), first.place) == Fetched((), first.place)


def test_nothing_of_a_feed_reads_files_or_other_addresses(web: WebServer) -> None:
    entity = b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
    web.replies["/"] = Reply(RSS.replace(b"<rss", entity + b"<rss").replace(b"No id", b"&e;"))
    try:
        found = fetch(feed(web))
    except SourceError:
        return
    assert "root:" not in str(found)
