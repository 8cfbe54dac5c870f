"""How long a lease holds, when it is given on, and how long a run lives without a word: one place, one scale.

A run is over before its lease is given on (promise 3 of README.md). With a remote server that follows from these
numbers alone: 20 s after the last beat that the server confirmed the runner begins the ladder, of 10 s; 45 s after
it, at the earliest, another host may claim. `tests/unit/test_times.py` holds the sum.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

#: Multiplies all of the times below, 0.02 to 1. For the chaos run and tests only: it shortens leases to
#: seconds, and what a runner waits for with them. A claude that is to end by SIGINT wants 0.3 or more.
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

#: Between two words of a consumer to the runner of its run.
HOLD_S = 3.0 * _FACTOR
#: A runner lives so long after the last word of a consumer, where the server is on this machine.
DEADLINE_S = 15.0 * _FACTOR
#: With a remote server: so long after the sending of the last claim or beat that the server answered.
REMOTE_DEADLINE_S = 20.0 * _FACTOR
#: After SIGINT, after SIGTERM, and for what is left in the end.
LADDER_S = (5.0 * _FACTOR, 3.0 * _FACTOR, 2.0 * _FACTOR)
