"""One Claude attempt as a pipeline over one record: prepare → spawn → follow → conclude → what follows."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import redis

from consumers import (
    booking,
    closing,
    consequence,
    dropped,
    grip,
    handle,
    leftovers,
    mended,
    processes,
    refusal,
    result_file,
    version,
    workspaces,
)
from consumers import folder as folders
from consumers.heartbeat import Heartbeat, Held
from consumers.outcome import Conclusion, Exit, Outcome, conclude, early
from consumers.preparation import Plan, Preparation, launch
from consumers.stream import Summary
from consumers.times import HOLD_S, REMOTE_DEADLINE_S
from consumers.verification import Verification
from durable import effects
from durable.costs import Cost, total_usd
from durable.effects import Effects
from durable.patience import Patience
from durable.records import Lease, Looks
from durable.store import LeaseStore
from durable.verdicts import Fail, GiveBack, Leave

if TYPE_CHECKING:
    from settings import ClaudeOptions, Settings

log = logging.getLogger(__name__)

_LOOK_S = 0.2
#: A claude that does not end by itself after its result, s.
_LINGER_S = 10.0


class Runs:
    """Runs the Claude attempts of one consumer, one at a time in its worker's thread."""

    def __init__(
        self, settings: Settings, store: LeaseStore, heartbeat: Heartbeat, stopping: threading.Event
    ) -> None:
        self.settings, self.store = settings, store
        self.preparation = Preparation(settings, store)
        self.verification = Verification(settings)
        self.heartbeat, self.stopping = heartbeat, stopping

    def attempt(
        self, task: Any, prompt: str, options: dict[str, Any], context: dict[str, Any]
    ) -> dict[str, Any]:
        """The body of a Claude task: its result, or a verdict that says how the attempt ends."""
        running = effects.current()
        if running is None:
            raise Fail("rejected", "a Claude task runs only inside a consumer")
        if not folders.is_plain(running.lease.id):
            raise Fail("rejected", f"the id {running.lease.id!r} would lead out of var/attempts")
        try:
            found = self._adopted(running, options)
            if found is None:
                spent_usd = self._spent_usd(running.lease)
                found = self._earlier(running, options)
            if found is None:
                dropped.check(running.lease, context)
            end, chosen = found or self._run(running, prompt, options, spent_usd)
        except redis.RedisError as error:  # nothing was started yet
            raise GiveBack(
                "interrupted", f"Redis did not answer before the start: {error}"
            ) from error
        running.session = end.session_id or ""
        task.retries = 0  # Baton counts the attempts of Claude tasks by its own rules
        self._follow_up(running, end, chosen)
        return self._result(running, end, chosen)

    # -- adopt

    def _adopted(
        self, running: Effects, changes: dict[str, Any]
    ) -> tuple[Conclusion, ClaudeOptions] | None:
        """The run of this same attempt that another consumer began, followed to its end."""
        run = handle.of(self._folder(running.lease.id, running.lease.attempt))
        if run is None:
            return None
        try:
            folders.note_token(run.folder, running.lease.token)
        except OSError as error:
            log.warning("task %s: its new token is not noted: %s", running.lease.id, error)
        return self._followed(running, run, self.preparation.options(changes))

    # -- what was before

    def _spent_usd(self, lease: Lease) -> float:
        """What the task has cost so far, once nothing of it runs any more and all that did is priced."""
        if lease.attempt < 2:
            return 0.0
        leftovers.end_runs(self.settings.var, lease.id, lease.token)
        home = self.heartbeat.owner.rpartition(":")[0]
        booking.price_lost(self.store, self.settings.var, home, lease.id)
        return self.store.cost_so_far(lease.id)

    def _earlier(
        self, running: Effects, changes: dict[str, Any]
    ) -> tuple[Conclusion, ClaudeOptions] | None:
        """The success of the attempt before this one, when its consumer died before it could be written.

        None where a person sent the task back to begin afresh.
        """
        lease = running.lease
        if lease.attempt < 2 or not lease.outcome:
            return None
        folder, ended = self._latest_end(lease)
        if ended is None or folders.token_of(folder) == lease.settled_token:
            return None
        chosen = self.preparation.options(changes)
        end = conclude(folders.read(folder, Summary())[0], ended, time.time(), chosen.on_denied)
        if end.outcome is not Outcome.SUCCEEDED or refusal.of(folder):
            return None
        log.info("task %s: the attempt in %s had succeeded already", lease.id, folder)
        end = _priced(end, booking.costs_of(folder))  # which _spent_usd has booked
        return self._verified(running, end, chosen, folder), chosen

    def _latest_end(self, lease: Lease) -> tuple[Path, Exit | None]:
        """The newest attempt that ran; one that was given back before its start left no folder."""
        for folder in folders.before(self.settings.var, lease.id, lease.attempt):
            if ended := handle.exit_of(folder):
                return folder, ended
        return self._folder(lease.id, 0), None

    def _folder(self, task_id: str, attempt: int) -> Path:
        return folders.of(self.settings.var, task_id, attempt)

    # -- spawn and follow

    def _run(
        self, running: Effects, prompt: str, changes: dict[str, Any], spent_usd: float
    ) -> tuple[Conclusion, ClaudeOptions]:
        plan = self.preparation.plan(running.lease, prompt, changes, spent_usd)
        log.info("task %s: attempt %d in %s", plan.lease.id, plan.lease.attempt, plan.folder)
        plan.command["deadline_at"] = self._until(self._held(running))
        run = launch(plan)
        self._record_start(plan, run)
        return self._followed(running, run, plan.options)

    def _followed(
        self, running: Effects, run: handle.Handle, options: ClaudeOptions
    ) -> tuple[Conclusion, ClaudeOptions]:
        summary, ended = self._to_its_end(running, run)
        running.costs = booking.costs_of(run.folder, summary)
        end = conclude(summary, ended, time.time(), options.on_denied)
        version.remember(run.program, self.settings.var, summary.version)
        end = _priced(end, running.costs)
        if end.session_gone:  # also of a run that another consumer began
            why = f"{end.message.rstrip('.')}; the task begins afresh"
            raise GiveBack("interrupted", why, excused=False)  # a claude may refuse every session
        return self._verified(running, end, options, run.folder), options

    def _to_its_end(self, running: Effects, run: handle.Handle) -> tuple[Summary, Exit]:
        held = self._held(running)
        name = self.heartbeat.owner.rpartition(":")[2]
        with grip.on(self.settings.var, name, run.folder, held.lease.token):
            return self._follow(run, held)

    def _verified(
        self, running: Effects, end: Conclusion, options: ClaudeOptions, folder: Path
    ) -> Conclusion:
        """The conclusion of the run in `folder` when its answer has been checked, where that is asked for."""
        return self.verification.judge(
            *(running.lease, end, options, folder),
            follow=lambda run: self._to_its_end(running, run)[1],
            until=lambda: self._until(self._held(running)),
        )

    def _record_start(self, plan: Plan, run: handle.Handle) -> None:
        facts = {"folder": str(plan.folder), "pid": run.pid, "boot_id": processes.boot_id()}
        facts["host"] = os.uname().nodename
        try:
            if not self.store.started(plan.lease, facts, plan.session):
                run.stop(plan.lease.token, "lost")  # no need to wait for a beat that says it
        except redis.RedisError as error:
            log.warning("task %s: its start could not be recorded (%s)", plan.lease.id, error)

    def _follow(self, run: handle.Handle, held: Held) -> tuple[Summary, Exit]:
        """Read the stream as it grows and hold the run's deadline, until the run has ended.

        Raises Leave when this process is to end and the run is not.
        """
        lease, folder = held.lease, run.folder
        summary, position, told, tries = Summary(), 0, False, lease.probe
        next_hold = result_at = 0.0
        while True:
            ended = run.wait(_LOOK_S)
            summary, position = folders.read(folder, summary, position)
            if ended is not None:
                return summary, ended
            if tries and summary.alive:
                tries = not self._open_gate(lease)
            now = time.monotonic()
            result_at = result_at or (now if summary.result else 0.0)
            if self._leaves():
                run.hold(lease.token, self._until(held))
                raise Leave
            reason = self._stop_reason(summary, held, result_at, now)
            if reason and not told:
                log.info("task %s: stopping its run: %s", lease.id, reason)
                told = run.stop(lease.token, reason)
            elif now >= next_hold:
                run.hold(lease.token, self._until(held))
                next_hold = now + HOLD_S

    def _open_gate(self, lease: Lease) -> bool:
        """The probe has heard from the API; whether that is written down."""
        try:
            opened = self.store.alive(lease)
        except redis.RedisError as error:
            log.warning("task %s: the gate could not be opened yet (%s)", lease.id, error)
            return False
        if opened:
            log.info("task %s: Claude answers again; its credential's gate is open", lease.id)
        return True

    def _goes_down(self) -> bool:
        """Whether `./baton down` is at work, for which runs are stopped and given back."""
        return self.stopping.is_set() and (self.settings.var / "stopping").exists()

    def _leaves(self) -> bool:
        """Whether this process is to end and its run is not: a restart, a reload, a new configuration."""
        return self.stopping.is_set() and not self._goes_down()

    def _held(self, running: Effects) -> Held:
        return next(h for h in self.heartbeat.in_hand() if h.lease.id == running.lease.id)

    def _until(self, held: Held) -> float | None:
        """The run's deadline. With a remote server only a confirmed beat moves it (promise 3), and it is a point in
        time: a word of a consumer that was stopped between looking and speaking moves nothing. None: from now on."""
        local = self.settings.redis.url.startswith("unix:")
        return None if local else held.confirmed_at + REMOTE_DEADLINE_S

    def _stop_reason(
        self, summary: Summary, held: Held, result_at: float, now: float
    ) -> str | None:
        if held.cancelled:
            return "cancelled"
        if held.lost:
            return "lost"
        if self._goes_down():
            return "shutdown"
        if result_at and now - result_at > _LINGER_S:
            return "lingering"
        return "gate" if not summary.result and early(summary) else None

    # -- conclude

    def _follow_up(self, running: Effects, end: Conclusion, options: ClaudeOptions) -> None:
        """Close the gate where the outcome asks for it, and raise the verdict unless it is a success."""
        what = consequence.follows(
            end,
            counted=running.lease.counted,
            started=running.lease.attempt,
            retries=options.retries,
            on_crash=options.on_crash,
        )
        if what.gate:
            self._close_gate(what.gate, running.lease, end)
        if what.verdict is not None:
            raise what.verdict

    def _close_gate(self, gate: consequence.Gate, lease: Lease, end: Conclusion) -> None:
        until_ms = None if gate.until is None else int(gate.until * 1000)
        looks = Looks(int(gate.look_s * 1000))

        def close() -> None:
            closing.close(
                *(self.store, lease.scope, gate.reason),
                by=lease.id,
                why=_sentences(end.message),
                until_ms=until_ms,
                looks=looks,
                remedy=_sentences(end.remedy),
                about=mended.about(self.settings),
            )

        _insist(close, self.stopping, self.heartbeat.redis)

    def _result(self, running: Effects, end: Conclusion, options: ClaudeOptions) -> dict[str, Any]:
        if options.result:
            running.note = self._write_result(running.lease, Path(options.result), end.text or "")
        return {
            "text": end.text,
            "structured": end.structured,
            "session_id": end.session_id,
            "cost_usd": end.cost_usd,
            "turns": end.turns,
            "duration_s": end.duration_s,
            "usage": end.usage,
            **self._workspace(running),
        }

    def _workspace(self, running: Effects) -> dict[str, Any]:
        """Where the work lies, for a task that has a workspace of its own."""
        left = workspaces.left(self.settings, running.lease.id, succeeded=True)
        if left is None:
            return {}
        running.note = "; ".join(part for part in (running.note, left.words) if part)
        return {"workspace": left.path or None, "branch": left.branch or None}

    def _write_result(self, lease: Lease, target: Path, text: str) -> str:
        """Write the result's file; the attempt stays a success when that fails, and its row says so."""
        try:
            where = result_file.write(self.settings.base / target.expanduser(), text)
        except OSError as error:
            log.error("task %s: its result could not be written to %s: %s", lease.id, target, error)
            return f"the result could not be written to {target}: {error.strerror or error}"
        return f"result written to {where}"


def _priced(end: Conclusion, costs: Sequence[Cost]) -> Conclusion:
    """With what the attempt itself cost, where it said anything of its cost."""
    cost_usd = None if end.cost_usd is None else total_usd(costs)
    return msgspec.structs.replace(end, cost_usd=cost_usd)


def _sentences(*parts: str) -> str:
    """What happened and what to do, each closed by its full stop."""
    return " ".join(part.rstrip(". ") + "." for part in parts if part)


def _insist(act: Callable[[], object], stopping: threading.Event, redis_away: Patience) -> None:
    """Until Redis answers: a limit that is not written down burns every other task."""
    while True:
        try:
            act()
            return
        except redis.RedisError as error:
            if stopping.wait(redis_away.failed(time.monotonic(), error)):
                return
