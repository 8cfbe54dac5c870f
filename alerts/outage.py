"""Redis away: told from here, since Redis cannot hold it. A file in `var` remembers it across a kill."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import msgspec

from alerts.delivery import DeliveryError
from alerts.messages import Message
from alerts.times import AWAY_S, RETRY_S
from durable.patience import Patience

log = logging.getLogger(__name__)


class Away(msgspec.Struct, kw_only=True):
    """An outage that was to be told. Unix seconds."""

    id: str
    since: float
    told: bool = False


class Outage:
    """One message when Redis has been away for long, one when it is back. `send` raises DeliveryError."""

    def __init__(
        self,
        file: Path,
        host: str,
        send: Callable[[Message], None],
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._file, self._host, self._send, self._wall = file, host, send, wall
        self._since: float | None = None
        self._known = _read(file)
        first_s, cap_s = RETRY_S
        self._trouble = Patience("alert", log, first_s=first_s, cap_s=cap_s)

    def away(self, problem: str) -> None:
        """It does not answer now."""
        now = self._wall()
        if self._since is None:
            self._since = self._known.since if self._known else now
        if self._known is None:
            if now - self._since < AWAY_S:
                return
            self._keep(Away(id=uuid.uuid4().hex[:16], since=self._since))
        if self._known and not self._known.told:
            text = f"Redis has not answered {self._host} for {now - self._since:.0f} s: {problem}"
            if self._tell("opened", text, self._known):
                self._known.told = True
                self._keep(self._known)

    def back(self) -> None:
        """It answers."""
        self._since = None
        if known := self._known:
            lasted = self._wall() - known.since
            text = f"Redis answers {self._host} again, after {lasted:.0f} s"
            if not known.told or self._tell("over", text, known):
                self._known = None
                self._file.unlink(missing_ok=True)

    def _tell(self, state: str, text: str, known: Away) -> bool:
        if self._trouble.waiting(time.monotonic()):
            return False
        message = Message(
            seq=0,
            incident=known.id,
            state=state,
            kind="redis",
            subject="redis",
            text=text,
            since_ms=int(known.since * 1000),
            due_ms=0,
            host=self._host,
            remedy="./baton status" if state == "opened" else "",
        )
        try:
            self._send(message)
        except DeliveryError as error:
            self._trouble.failed(time.monotonic(), error)
            return False
        self._trouble.worked()
        return True

    def _keep(self, known: Away) -> None:
        """Where it cannot be written, it is told all the same: a full disk is why Redis is away, as a rule."""
        self._known = known
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = self._file.with_suffix(".new")
            draft.write_bytes(msgspec.json.encode(known))
            draft.replace(self._file)
        except OSError as error:
            log.warning("%s cannot be written, a restart may tell it again: %s", self._file, error)


def _read(file: Path) -> Away | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Away)
    except (OSError, msgspec.MsgspecError):
        return None
