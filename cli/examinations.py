"""What `./baton doctor` looks at. Each examination answers with findings, and changes nothing."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cli import billing, gate, upkeep
from cli.apps import planned
from cli.errors import CliError

if TYPE_CHECKING:
    from settings import Settings

#: Free disk below which a look is due, and below which work stops soon, bytes.
_LOOK_BYTES, _BAD_BYTES = 2_000_000_000, 200_000_000
#: A clock further from the server's than this makes logs and schedules disagree, s.
_LOOK_S, _BAD_S = 1.0, 30.0
_FILES = 1024


class Finding(NamedTuple):
    """One thing that was looked at: `verdict` is ok, look or bad."""

    verdict: str
    what: str
    words: str
    remedy: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Return all findings, in the order in which things build on each other."""
    yield Finding("ok", "settings", f"{settings.config} is well")
    yield from (Finding("look", "settings", words) for words in settings.warnings)
    yield from _system()
    yield from _folders(settings)
    yield from _pm2(settings)
    yield from _redis(settings)
    yield from _claude(settings)


def _system() -> Iterator[Finding]:
    yield Finding("ok", "Python", f"{platform.python_version()} on {platform.system()}")
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if files != resource.RLIM_INFINITY and files < _FILES:
        remedy = "raise it: ulimit -n 4096, or LimitNOFILE= of the service"
        yield Finding("look", "files", f"only {files} open files are allowed", remedy)
    else:
        yield Finding("ok", "files", f"{files} open files are allowed")


def _folders(settings: Settings) -> Iterator[Finding]:
    places = [("var", settings.var), *((n, w.path) for n, w in settings.watchers.items())]
    for name, folder in places:
        yield _writable(name, folder)
    free = shutil.disk_usage(_existing(settings.var)).free
    words = f"{free / 1e9:.1f} GB are free where {settings.var} lies"
    remedy = "make room: a full disk stops the queue (nothing accepted is lost)"
    verdict = "bad" if free < _BAD_BYTES else "look" if free < _LOOK_BYTES else "ok"
    yield Finding(verdict, "disk", words, "" if verdict == "ok" else remedy)


def _writable(name: str, folder: Path) -> Finding:
    there = _existing(folder)
    if not os.access(there, os.W_OK | os.X_OK):
        return Finding("bad", name, f"{there} cannot be written", f"chown or chmod {there}")
    state = "" if there == folder else " can be made"
    return Finding("ok", name, f"{folder}{state}")


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def _pm2(settings: Settings) -> Iterator[Finding]:
    try:
        owned = upkeep.place(settings).owns
        running = [p for p in upkeep.pm2_of(settings).processes() if owned(p)]
    except CliError as error:
        yield Finding("bad", "PM2", error.problem, error.remedy)
        return
    alive = {process.name for process in running if process.runs}
    wanted = [app.name for app in planned(settings, os.environ)]
    missing = [name for name in wanted if name not in alive]
    if missing:
        words = f"{len(missing)} of {len(wanted)} apps do not run: {', '.join(missing)}"
        yield Finding("look", "PM2", words, "./baton up starts them; ./baton status says more")
    else:
        yield Finding("ok", "PM2", f"{len(wanted)} apps run")


def _redis(settings: Settings) -> Iterator[Finding]:
    from redis import RedisError

    from cli import queue
    from durable.connect import connect, findings, hide_password

    shown = hide_password(settings.redis.url)
    client = connect(settings.redis.url, retries=0)
    try:
        found = findings(client)
        before = time.time()
        server_ms = queue.store().now_ms()
        entries = queue.store().gate()
    except RedisError as error:
        remedy = "./baton up starts it, or correct REDIS_URL in .env"
        yield Finding("bad", "Redis", f"{shown} does not answer: {error}", remedy)
        return
    for words in found.unusable:
        yield Finding("bad", "Redis", words)
    for words in found.unsafe:
        allowed = settings.redis.unsafe
        yield Finding("look" if allowed else "bad", "Redis", words)
    if not (found.unusable or found.unsafe):
        yield Finding(
            "ok", "Redis", f"{shown} answers, writes before it acknowledges, evicts nothing"
        )
    yield _clock(server_ms / 1000 - before)
    for entry in entries:
        yield Finding("look", "gate", gate.sentence(entry).partition("\n")[0], gate.remedy(entry))


def _clock(ahead_s: float) -> Finding:
    words = f"Redis's clock is {abs(ahead_s):.1f} s {'ahead' if ahead_s > 0 else 'behind'}"
    if abs(ahead_s) <= _LOOK_S:
        return Finding(
            "ok", "clock", f"Redis's and this machine's agree; zone {time.strftime('%Z')}"
        )
    verdict = "bad" if abs(ahead_s) > _BAD_S else "look"
    return Finding(verdict, "clock", words, "let both machines set their clocks (NTP)")


def _claude(settings: Settings) -> Iterator[Finding]:
    from consumers import claude

    known = billing.facts(settings, os.environ)
    found = claude.locate(settings)
    if isinstance(found, claude.Missing):
        yield Finding("bad", "claude", "Claude Code is not found; its tasks wait", found.remedy)
        return
    named, *stray = billing.sentences(known)
    yield from (Finding("look", "claude", words) for words in stray)
    if known["billed"] == "none":
        yield Finding("bad", "claude", named, "./baton login")
    else:
        yield Finding("ok", "claude", named)
        yield from _asked(str(found.path), settings)
    if settings.claude.permission_mode == "bypassPermissions":
        words = "permission_mode is bypassPermissions: Claude may do anything that you may"
        remedy = "list what it needs in allowed_tools, with permission_mode: dontAsk"
        yield Finding("look", "claude", words, remedy)


def _asked(path: str, settings: Settings) -> Iterator[Finding]:
    """What claude itself says of its login, in the environment that a task has."""
    from consumers import claude

    env = claude.environment(settings.environ, settings.claude.env, "/tmp", "")  # noqa: S108
    said = claude.login_state(path, env)
    if said.logged_in is None:
        remedy = f"run it by hand: {path} auth status"
        yield Finding("look", "login", "claude does not say whether it is logged in", remedy)
    elif said.logged_in:
        yield Finding("ok", "login", f"claude has a credential ({said.method or 'unnamed'})")
    else:
        yield Finding("bad", "login", "claude has no credential", "./baton login")
