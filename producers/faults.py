"""Named points where a test may have a producer killed, to see that nothing is lost there."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path

Faults = Callable[[str], None]
log = logging.getLogger(__name__)


def none(point: str) -> None:
    """No faults: what runs outside of tests."""


def from_text(text: str, role: str, var: Path) -> Faults:
    """Faults from BATON_FAULT, `role:point` or `role:point:count`: SIGKILL at that passage.

    A file in `var` remembers that it has happened, so it happens only once.
    """
    wanted_role, _, rest = text.partition(":")
    wanted_point, _, count = rest.partition(":")
    if wanted_role != role or not wanted_point:
        return none
    left = int(count or 1)
    marker = var / f"fault-{role}-{wanted_point}"

    def pass_by(point: str) -> None:
        nonlocal left
        if point != wanted_point or marker.exists():
            return
        left -= 1
        if left == 0:
            marker.touch()
            log.warning("BATON_FAULT: killed at %s", point)
            os.kill(os.getpid(), signal.SIGKILL)

    return pass_by
