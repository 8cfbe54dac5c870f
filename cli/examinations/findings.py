"""What an examination says: one finding for each thing that was looked at."""

from __future__ import annotations

from typing import NamedTuple


class Finding(NamedTuple):
    """One thing that was looked at: `verdict` is ok, warn or bad."""

    verdict: str
    what: str
    words: str
    remedy: str = ""
