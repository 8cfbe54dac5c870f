"""Which Redis: the embedded one or a URL, from baton.yaml, the environment and `.env`."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlsplit, urlunsplit

from msgspec import Meta, Struct

from settings.document import Document, KeyPath, place
from settings.entries import value_of
from settings.environment import Surroundings
from settings.sections import field

_TCP_OR_UNIX = (
    "redis://host:port/db, rediss://host:port/db or unix:///path/of.sock,"
    " with :password@ before the host where needed (a / # ? @ in it as %2F %23 %3F %40)"
)
_FORMS = f"embedded, {_TCP_OR_UNIX}"
_PORT = 6379
#: Whether a server that may lose what it acknowledged will do.
Unsafe = Literal["refuse", "allow"]
Address = Annotated[str, Meta(min_length=1, description=_FORMS)]


class RedisSettings(Struct, frozen=True):
    """Where the queue lives. `unsafe` accepts a server that may lose what it acknowledged."""

    mode: Literal["embedded", "url"]
    url: str
    unsafe: bool = False

    def __repr__(self) -> str:
        return f"RedisSettings(mode={self.mode!r}, url={masked(self.url)!r}, unsafe={self.unsafe})"


def read_redis(document: Document, around: Surroundings, run_dir: Path) -> RedisSettings:
    """The embedded server, or the one URL that baton.yaml and REDIS_URL agree on.

    REDIS_URL wins over `redis: embedded`. Raises SettingsError for a URL that names no server, and
    when baton.yaml and REDIS_URL name two different ones.
    """
    written = _written(document)
    path: KeyPath = ("redis",)
    outer = around.get("REDIS_URL")
    if written and not _names_a_server(written):
        raise document.error(path, f"redis reads {masked(written)}", f"Allowed: {_FORMS}.")
    if outer and not _names_a_server(outer):
        raise around.error("REDIS_URL", f"it reads {masked(outer)}", f"Allowed: {_TCP_OR_UNIX}.")
    if written and outer and _identity(written) != _identity(outer):
        problem = f"redis is {masked(written)}, but REDIS_URL is {masked(outer)}"
        raise document.error(path, problem, "Name one server: remove one of the two.")
    url = outer or written
    unsafe = value_of(document, "redis_unsafe", Unsafe, "refuse") == "allow"
    if not url:
        socket = quote(str(run_dir / "redis.sock"))
        return RedisSettings("embedded", f"unix://{socket}", unsafe)
    return RedisSettings("url", _with_password(url, around.get("BATON_REDIS_PASSWORD")), unsafe)


def warnings(document: Document) -> list[str]:
    """A password in baton.yaml, which is no place for secrets."""
    url = _written(document)
    if not url or not has_password(url):
        return []
    where = place(document.file, document.line(("redis",)))
    return [f"{where}: a password stands here. Move the URL to REDIS_URL in .env."]


def has_password(url: str) -> bool:
    """True when a URL carries a password of its own."""
    return urlsplit(url).password is not None or "password=" in urlsplit(url).query


def masked(url: str) -> str:
    """The URL without its credentials, for messages; works on malformed ones too."""
    hidden = re.sub(r"//.*@", "//***@", url, flags=re.DOTALL)
    return re.sub(r"(password=)[^&]*", r"\1***", hidden)


def _written(document: Document) -> str:
    """The URL that baton.yaml names; "" for embedded."""
    value = document.values.get("redis")
    text = "embedded" if value is None else field(document, ("redis",), value, Address)
    return "" if text == "embedded" else text


def _with_password(url: str, password: str) -> str:
    parts = urlsplit(url)
    if not password or has_password(url):
        return url
    host = parts.netloc.rpartition("@")[2]
    netloc = f"{parts.username or ''}:{quote(password, safe='')}@{host}"
    return urlunsplit(parts._replace(netloc=netloc))


def _names_a_server(url: str) -> bool:
    if re.search(r"[\s\x00-\x1f]", url) or not url.startswith(("redis://", "rediss://", "unix://")):
        return False
    try:
        parts = urlsplit(url)
        if parts.scheme == "unix":
            return parts.path.startswith("/") and len(parts.path) > 1 and not parts.hostname
        database = parts.path.strip("/")
        well = parts.port != 0 and (database == "" or database.isdecimal())
        return bool(parts.hostname) and well
    except ValueError:  # a port that is no number, a bracket left open
        return False


def _identity(url: str) -> tuple[Any, ...]:
    parts = urlsplit(url)
    named_db = re.search(r"(?:^|&)db=(\d+)", parts.query)
    database = int(named_db[1]) if named_db else 0
    if parts.scheme == "unix":
        return "unix", parts.path, database
    host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname
    return "tcp", host, parts.port or _PORT, int(parts.path.strip("/") or database)
