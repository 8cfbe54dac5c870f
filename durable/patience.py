"""How a process waits for something that is away: capped backoff, and one log line a minute."""

from __future__ import annotations

import logging
import random


class Patience:
    """The state of one thing that may be away (Redis, a folder). `now` is a steady clock's.

    Threads that wait for the same thing may share one: then it is said once.
    """

    def __init__(
        self,
        what: str,
        log: logging.Logger,
        *,
        first_s: float = 0.25,
        cap_s: float = 5.0,
        every_s: float = 60.0,
    ) -> None:
        self.what, self.log = what, log
        self.first_s, self.cap_s, self.every_s = first_s, cap_s, every_s
        self.failures = 0
        self.until = 0.0
        self.problem = ""
        self._failed_at = self._logged_at = float("-inf")

    def waiting(self, now: float) -> bool:
        """Whether it is too early for another try."""
        return self.failures > 0 and now < self.until

    def failed(self, now: float, problem: object, at_least_s: float = 0.0) -> float:
        """Note a failure and return the seconds until the next try, ±20 % so that many spread.

        `at_least_s` is how long what is away asks to be left alone.
        """
        self.failures += 1
        self._failed_at = now
        doubled = self.first_s * 2.0 ** min(self.failures - 1, 30)
        pause = max(at_least_s, min(self.cap_s, doubled * random.uniform(0.8, 1.2)))
        self.until = now + pause
        self.problem = str(problem)
        if now - self._logged_at >= self.every_s:
            self._logged_at = now
            self.log.warning("%s: %s; trying again, nothing is lost", self.what, problem)
        return pause

    def worked(self, asked_at: float = float("inf")) -> None:
        """Note that it is there; says so when it was away.

        An answer to what was asked (`asked_at`, by the same clock) before the last failure says nothing: another
        thread may have learned meanwhile that it is gone.
        """
        if asked_at < self._failed_at:
            return
        if self.failures:
            self.log.info("%s: back after %d failed tries", self.what, self.failures)
        self.failures, self.until, self.problem = 0, 0.0, ""
        self._logged_at = float("-inf")
