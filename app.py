"""The entry of every PM2 app: `app.py ROLE NAME`.

Here lives what each process owes its surroundings: one copy per name, the ready signal, and an
environment without a trace of PM2. What a role does is in the role's own module.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
import signal
import stat
import sys
import threading
from collections.abc import Callable, MutableMapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cli.apps import app_name, roles
from cli.locks import Lock, lock_path, wait_for
from cli.outputs import log_as, print_past
from durable.starts import note_end, note_start

if TYPE_CHECKING:
    from settings import Settings

log = logging.getLogger("app")

# Each has `run(settings, name, ready) -> int` and is imported by nobody else's process.
ROLES = {
    "redis": "durable.server",
    "watch": "producers.watcher",
    "poll": "producers.poller",
    "scheduler": "producers.scheduler",
    "consumer": "consumers.consumer",
    "alerts": "alerts.app",
}

# Under PM2 only this stays of the environment: PM2 adds every field of the app to it.
_KEPT = re.compile(r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_\w+|TZ|TMPDIR|REDIS_URL|BATON_\w+")
_OF_PM2 = re.compile(r"PM2_\w+|pm_\w+|NODE_CHANNEL_\w+|BATON_FINGERPRINT|BATON_LOG")


class Channel:
    """PM2's end of a socket that takes one JSON value a line; anything else crashes the daemon."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd
        if fd is not None:
            os.set_inheritable(fd, False)  # a Node program that inherited it would abort

    @classmethod
    def take(cls, environ: MutableMapping[str, str]) -> Channel:
        """Take the channel out of the environment; without PM2 there is none."""
        given = environ.pop("NODE_CHANNEL_FD", "")
        return cls(int(given) if given.isdigit() and _is_socket(int(given)) else None)

    @property
    def is_open(self) -> bool:
        """Whether a PM2 waits at the other end."""
        return self._fd is not None

    def close_others(self) -> None:
        """Close what the daemon inherited from whichever shell it was started in."""
        if self._fd is not None:
            os.closerange(3, self._fd)
            os.closerange(self._fd + 1, os.sysconf("SC_OPEN_MAX"))

    def say_ready(self) -> None:
        """Tell PM2 that the app is ready and let go of the channel; a second call does nothing."""
        fd, self._fd = self._fd, None
        if fd is None:
            return
        try:
            os.write(fd, b'"ready"\n')
        except OSError as error:  # the daemon has gone; the app works on without it
            log.warning("PM2 could not be told that this app is ready: %s", error)
        os.close(fd)


def _is_socket(fd: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError:
        return False


def clean(environ: MutableMapping[str, str]) -> None:
    """Remove what PM2 put into the environment, so that nothing below inherits it."""
    under_pm2 = "pm_id" in environ
    for name in list(environ):
        if _OF_PM2.fullmatch(name) or (under_pm2 and not _KEPT.fullmatch(name)):
            del environ[name]


def detach_stdin() -> int:
    """Put /dev/null in the place of PM2's end of the standard input, and return that end."""
    lifeline = os.dup(0)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    return lifeline


def notice_the_end_of_pm2(lifeline: int) -> None:
    """Log it when the daemon has gone: end of file on what was the input is the first that one hears of it.

    The app works on, and misses nothing of PM2: its outputs are its own.
    """
    threading.Thread(target=_say_after_eof, args=(lifeline,), daemon=True).start()


def _say_after_eof(lifeline: int) -> None:
    try:
        while os.read(lifeline, 4096):
            pass
    except OSError:  # PM2's end was reset: as gone as at end of file
        pass
    log.warning("PM2 has gone; this app works on without it")


def main(argv: Sequence[str]) -> int:
    """Run the app of a role and a name until it ends, and return its exit status.

    0 done, 75 another copy does not go, 78 bad configuration, 79 drained (PM2 does not start
    these two again), 1 for an error that nobody expected; a role may add its own.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)  # nothing has begun before the role takes over
    channel = Channel.take(os.environ)
    channel.close_others()
    own_log = os.environ.get("BATON_LOG") if channel.is_open else None
    clean(os.environ)
    os.umask(0o077)
    role, arg = (*argv, "", "")[:2]
    path = Path(own_log) if own_log else None
    _log_into(path, path.stem if path else app_name("baton", role, arg))
    try:
        return _configured(role, arg, channel, path)
    except Exception:  # the last place that can say in the log what happened
        log.exception("this app ends with an error that it did not expect")
        return 1


def _leave(number: int, frame: object) -> None:
    raise SystemExit(0)


def _log_into(path: Path | None, app: str) -> None:
    """Under PM2 an app has a log of its own; by hand it speaks on its standard error."""
    log_as(app, path)
    if path:
        print_past(path)


def _configured(role: str, arg: str, channel: Channel, own_log: Path | None) -> int:
    from settings import SettingsError, load, make_run_dir

    try:
        settings = load()
        make_run_dir(settings)
    except SettingsError as error:
        log.error("%s", error)
        return os.EX_CONFIG
    if (role, arg) not in (known := roles(settings)) and not _drains(settings, role, arg):
        allowed = ", ".join(" ".join(pair).strip() for pair in known)
        log.error("no app '%s' in %s; there is: %s", f"{role} {arg}", settings.config, allowed)
        return os.EX_CONFIG
    if own_log is None:
        log_as(app_name(settings.instance, role, arg))
    return _alone(settings, role, arg, channel)


def _drains(settings: Settings, role: str, arg: str) -> bool:
    """Whether baton.yaml names this consumer no more, and it has yet to finish the task that it had."""
    if role != "consumer":
        return False
    from consumers.draining import Mark

    return Mark(settings.var, app_name(settings.instance, role, arg)).is_asked()


def _alone(settings: Settings, role: str, arg: str, channel: Channel) -> int:
    from durable.identity import keep_host_name

    keep_host_name(settings.var, settings.host)
    lock = Lock(lock_path(settings.var, app_name(settings.instance, role, arg)))
    if not wait_for(lock, role, arg, supervised=channel.is_open):
        log.error("another copy of this app holds %s and does not go", lock.path)
        return os.EX_TEMPFAIL
    lifeline = detach_stdin()
    if role == "redis":
        lock.outlive_exec()  # this process becomes the server; no thread may run beside that
    elif channel.is_open:
        notice_the_end_of_pm2(lifeline)
    return _run(settings, role, arg, _announcement(channel, lock))


def _run(settings: Settings, role: str, arg: str, ready: Callable[[], None]) -> int:
    """Run the role, and note that its process began and how it ends."""
    name, status = app_name(settings.instance, role, arg), 1
    note_start(settings.var, name, role, arg)
    run: Callable[[Settings, str, Callable[[], None]], int]
    try:
        run = importlib.import_module(ROLES[role]).run
        status = run(settings, arg, ready)
    except SystemExit as asked:
        status = asked.code if isinstance(asked.code, int) else 1
        raise
    finally:
        note_end(settings.var, name, status)
    return status


def _announcement(channel: Channel, lock: Lock) -> Callable[[], None]:
    """Return the `ready` of a role: it tells PM2, `up` and the log, the first time only."""
    said = False

    def ready() -> None:
        nonlocal said
        if said:
            return
        said = True
        lock.mark_ready()
        channel.say_ready()
        log.info("ready")

    return ready


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
