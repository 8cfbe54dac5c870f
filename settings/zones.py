"""The time zone of a schedule: the one it names, else the machine's."""

from __future__ import annotations

import datetime as dt
import logging
import os
import zoneinfo
from collections.abc import Mapping
from pathlib import Path

log = logging.getLogger(__name__)

_LOCALTIME = Path("/etc/localtime")
_NAMED = Path("/etc/timezone")  # Debian's


def zone(name: str | None, environ: Mapping[str, str]) -> dt.tzinfo:
    """The zone called `name`, or the machine's (TZ, then /etc/localtime, then UTC)."""
    return zoneinfo.ZoneInfo(name) if name else machine_zone(environ)


def machine_zone(environ: Mapping[str, str]) -> dt.tzinfo:
    """The machine's zone with all its clock changes, not just today's offset."""
    for candidate in (environ.get("TZ", "").removeprefix(":"), _linked(), _written()):
        if candidate and (found := _found(candidate)):
            return found
    try:
        with _LOCALTIME.open("rb") as file:
            return zoneinfo.ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return dt.UTC


def _found(name: str) -> dt.tzinfo | None:
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        log.warning("no time zone is called %r; looking further", name)
        return None


def _linked() -> str:
    """`Europe/Berlin`, where /etc/localtime is a link into the zone database."""
    target = os.path.realpath(_LOCALTIME)
    return target.partition("/zoneinfo/")[2].removeprefix("posix/").removeprefix("right/")


def _written() -> str:
    try:
        return _NAMED.read_text().strip()
    except OSError:
        return ""
