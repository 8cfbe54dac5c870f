"""How long a lease holds, how often it is renewed and when it is given on: one place, one scale."""

from __future__ import annotations

import os
from collections.abc import Mapping

#: Multiplies all of the times below, 0.02 to 1. For the chaos run and tests only: it shortens leases to
#: seconds, but no limit of a runner, so a Claude task could then be given on while its old run still lives.
#: `up` passes it to no app (cli/apps.py names what it passes), so no shell can set it by accident.
SCALE = "BATON_LEASE_SCALE"
_SMALLEST = 0.02


def scale(environ: Mapping[str, str]) -> float:
    """The factor that BATON_LEASE_SCALE names; 1 without it. Raises ValueError for one out of range."""
    text = environ.get(SCALE, "1")
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not _SMALLEST <= value <= 1:
        raise ValueError(f"{SCALE}={text}: allowed is a number from {_SMALLEST} to 1; remove it")
    return value


_FACTOR = scale(os.environ)

#: A consumer that is not heard of for so long is suspected.
LEASE_MS = int(30_000 * _FACTOR)
#: Six beats to a lease: five may be lost.
BEAT_S = 5.0 * _FACTOR
#: What a suspect still gets before its task is given on.
GRACE_MS = int(15_000 * _FACTOR)
#: Between two looks of one consumer for leases nobody beats for; with jitter.
REAP_S = 5.0 * _FACTOR
