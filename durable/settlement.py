"""How an attempt ended, as one value: decided from what happened, written in one step."""

from __future__ import annotations

from huey import signals

from durable.effects import Effects
from durable.records import Claim, Lease, State
from durable.store import LeaseStore
from durable.verdicts import VERDICTS, Hold, Leave


class Settlement:
    """How an attempt ended, ready to be written; writing it twice is harmless."""

    def __init__(self, lease: Lease, state: State | None, outcome: str, reason: str = "") -> None:
        self.lease, self.state, self.outcome, self.reason = lease, state, outcome, reason
        self.effects: Effects | None = None
        self.delay_ms = 0
        self.excused = True

    @property
    def surprise(self) -> BaseException | None:
        """What the body raised without meaning it as a verdict; for the log."""
        said = self.effects.exception if self.effects else None
        return None if said is None or isinstance(said, VERDICTS) else said

    @property
    def left(self) -> bool:
        """The run goes on without this process: there is nothing to write yet."""
        return self.effects is not None and isinstance(self.effects.exception, Leave)

    def settle(self, store: LeaseStore, then: Claim | None = None) -> bool:
        """Write it, then tell the receivers of signals; False, and silence, when the lease was lost.

        `then` is claimed in the same round trip, unless this is a release: then it stays unanswered.
        Raises redis.RedisError when the server is away.
        """
        written = self._release(store) if self.state is None else self._end(store, self.state, then)
        if written and self.effects:
            self.effects.announce()
        return written

    def _release(self, store: LeaseStore) -> bool:
        effects = self.effects
        return store.release(
            self.lease.id,
            self.lease.token,
            outcome=self.outcome,
            reason=self.reason,
            delay_ms=self.delay_ms,
            costs=effects.costs if effects else (),
            session=effects.session if effects else "",
            excused=self.excused,
        )

    def _end(self, store: LeaseStore, state: State, then: Claim | None) -> bool:
        if self.effects is None:
            return store.settle(
                self.lease,
                state,
                outcome=self.outcome,
                reason=self.reason,
                forget=self._revocation(),
                then=then,
            )
        retry = state is State.SCHEDULED
        return store.settle(
            self.lease,
            state,
            outcome=self.outcome,
            reason=self.reason,
            result=self.effects.result,
            retry_ms=self.effects.retry_ms,
            body=self.effects.retry_body if retry else b"",
            costs=self.effects.costs,
            session=self.effects.session,
            follow=self.effects.follow,
            member_value=b"" if retry else self.effects.member_value,
            values=self.effects.values,
            forget=[*self.effects.tidy, *self._revocation()],
            then=then,
        )

    def _revocation(self) -> list[str]:
        """The name of Huey's revocation of this task, where there may be one: it is for one run."""
        return [f"r:{self.lease.id}"] if self.lease.revoked else []


_SKIPPED = {
    signals.SIGNAL_REVOKED: "revoked before it ran",
    signals.SIGNAL_EXPIRED: "expired before it ran",
    signals.SIGNAL_CANCELED: "cancelled by a pre-execute hook",
}


def settlement_of(running: Effects) -> Settlement:
    """From what happened to what is written. Reads only its arguments."""
    said = running.exception
    meant = said if isinstance(said, VERDICTS) else None  # any class may have an `outcome`
    outcome = str(getattr(meant, "outcome", "") or "crashed")
    message = _writable(getattr(meant, "message", "") or (repr(said) if said else ""))
    if isinstance(said, KeyboardInterrupt) and not isinstance(said, Hold):
        end = Settlement(running.lease, None, getattr(said, "outcome", "interrupted"), message)
        end.delay_ms = int(getattr(said, "delay", 0) * 1000)
        end.excused = getattr(said, "excused", True)
    elif isinstance(said, Hold):
        end = Settlement(running.lease, State.HELD, outcome, message)
    elif running.retrying:
        end = Settlement(running.lease, State.SCHEDULED, outcome, message or "asked to run again")
    elif not running.after_body:
        reason = _SKIPPED.get(running.signal, "not executed")
        end = Settlement(running.lease, State.CANCELLED, "cancelled", reason)
    elif said is not None:
        state = State.CANCELLED if outcome == "cancelled" else State.FAILED
        end = Settlement(running.lease, state, outcome, message)
    else:
        end = Settlement(running.lease, State.SUCCEEDED, "succeeded", _writable(running.note))
    end.effects = running
    return end


def _writable(text: object) -> str:
    """Text that Redis takes: file names and models bring halves of characters."""
    return str(text).encode("utf-8", "replace").decode()
