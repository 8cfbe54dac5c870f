"""A subscription's limit for everybody who asks the stand-in: reached after some requests, over after a while."""

import math
import threading

from demo.script import ERRORS, UTILIZATION, Fail, Limits


class Quota:
    """Request `after` + 1 reaches the limit; it is reset `lasts_s` later, once and for all."""

    def __init__(self, after: int, lasts_s: float) -> None:
        self._left, self._lasts_s = after, lasts_s
        self._resets_at: float | None = None
        self._lock = threading.Lock()

    def refusal(self, now_s: float) -> Fail | None:
        """Count a request; its refusal while the limit holds. `now_s` is Unix time."""
        with self._lock:
            self._left -= 1
            if self._left >= 0:
                return None
            if self._resets_at is None:
                self._resets_at = float(math.ceil(now_s + self._lasts_s))  # the header's unit
            if now_s >= self._resets_at:
                return None
            limits = Limits(
                "rejected", self._resets_at - now_s, "five_hour", UTILIZATION["rejected"]
            )
        return Fail(429, ERRORS[429][1], limits.headers(now_s))


def parse(text: str) -> Quota:
    """`REQUESTS:SECONDS`, as `--quota` has it. Raises ValueError."""
    after, _, lasts_s = text.partition(":")
    return Quota(int(after), float(lasts_s))
