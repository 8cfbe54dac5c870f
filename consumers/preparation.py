"""What an attempt is to be, decided before anything is started: options, folder, session, command line, environment."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from consumers import (
    claude,
    closing,
    handle,
    lost_runs,
    mended,
    resumption,
    spending,
    version,
    workspaces,
)
from consumers import folder as folders
from consumers.times import DEADLINE_S, LADDER_S
from durable.records import Lease, Looks
from durable.store import LeaseStore
from durable.verdicts import Fail, GiveBack

if TYPE_CHECKING:
    from settings import ClaudeOptions, Settings

log = logging.getLogger(__name__)

#: One task looks so often whether claude is there by now.
_MISSING_RECHECK_MS = 60_000
#: After a disk was full or a limit of the system was reached, s.
_UNPREPARED_S = 30.0
#: What `on_crash` decides about.
_CRASHES = ("crashed", "timed_out", "silent", "unverified")


@dataclasses.dataclass(frozen=True)
class Plan:
    """All that is decided before anything is started."""

    lease: Lease
    folder: Path
    options: ClaudeOptions
    command: dict[str, Any]
    prompt: str
    session: str


class Preparation:
    """Makes the plans of one consumer."""

    def __init__(self, settings: Settings, store: LeaseStore) -> None:
        self.settings, self.store = settings, store

    def options(self, changes: dict[str, Any]) -> ClaudeOptions:
        """Those of baton.yaml with the task's own. Raises Fail for one that is not understood."""
        from settings import overlay

        try:
            return overlay(self.settings.claude, changes)
        except ValueError as error:
            raise Fail("rejected", str(error)) from error

    def plan(
        self, lease: Lease, prompt: str, changes: dict[str, Any], spent_usd: float = 0.0
    ) -> Plan:
        """What the attempt of this lease is to be; `spent_usd` is what the task has cost so far.

        Raises Fail and GiveBack, which say why not, and RedisError.
        """
        options = spending.with_what_is_left(self.options(changes), spent_usd)
        folder = folders.of(self.settings.var, lease.id, lease.attempt)
        cwd = workspaces.folder_of(self.settings, lease, options)
        earlier = self._to_resume(lease, options)
        resumed = earlier.session if earlier else ""
        session = resumed or claude.session_id(lease.id, lease.attempt)
        told = resumption.words(earlier, prompt) if earlier else prompt
        command = self._command(lease, cwd, options, session, resume=bool(resumed))
        return Plan(lease, folder, options, command, told, session)

    def _to_resume(self, lease: Lease, options: ClaudeOptions) -> resumption.Earlier | None:
        """The attempt whose session this one goes on in; none at a first attempt, or where a fresh one is wanted."""
        if not lease.outcome or (options.on_crash == "rerun" and lease.outcome in _CRASHES):
            return None
        before = folders.before(self.settings.var, lease.id, lease.attempt)
        return resumption.earlier(before, time.time())

    def _command(
        self, lease: Lease, cwd: Path, options: ClaudeOptions, session: str, *, resume: bool
    ) -> dict[str, Any]:
        # Outside var, which tools may not read. The runner makes it anew and removes it.
        tmpdir = Path(tempfile.gettempdir()) / f"baton-{uuid.uuid4().hex[:12]}"
        marker = f"{lease.id}/{lease.attempt}"
        environ = claude.environment(self.settings.environ, options.env, str(tmpdir), marker)
        denied = [self.settings.base / ".env", self.settings.root / ".env", self.settings.var]
        program = self._claude(lease)
        return {
            "argv": claude.argv(program, options, session, resume=resume, denied_paths=denied),
            "env": environ,
            "cwd": str(cwd),
            "umask": 0o077,
            "tmpdir": str(tmpdir),
            "marker": marker,
            "token": lease.token,
            "socket": str(self.settings.run_dir / f"r{lease.token}.sock"),
            "max_runtime_s": float(options.max_runtime),
            "max_silence_s": float(options.max_silence),
            "max_tool_runtime_s": float(options.max_tool_runtime),
            "deadline_s": DEADLINE_S,
            "ladder_s": LADDER_S,
            "billed": claude.credential(environ, Path(environ.get("HOME", "/"))),
            "claude_version": version.of(Path(program), self.settings.var),
            "configuration": digest(options),
            "on_denied": options.on_denied,
        }

    def _claude(self, lease: Lease) -> str:
        found = claude.locate(self.settings)
        if isinstance(found, claude.Found):
            return str(found.path)
        closing.close(
            *(self.store, lease.scope, mended.MISSING),
            by=lease.id,
            why=f"there is no claude on {self.settings.host}.",
            remedy=f"{found.remedy} One task looks every minute.",
            about=mended.about(self.settings),
            looks=Looks(_MISSING_RECHECK_MS, _MISSING_RECHECK_MS),
        )
        raise GiveBack("interrupted", found.remedy)


def digest(options: ClaudeOptions) -> str:
    """16 hex digits over all options of an attempt: two that differ were configured differently."""
    text = msgspec.json.encode(options, enc_hook=float, order="sorted")
    return hashlib.sha256(text).hexdigest()[:16]


def launch(plan: Plan) -> handle.Handle:
    """Start the runner. Raises GiveBack: a full disk is nobody's failed attempt."""
    try:
        lost_runs.note(plan.folder, plan.lease.token)
        return handle.launch(plan.folder, plan.command, plan.prompt)
    except OSError as error:
        message = f"the attempt could not be prepared in {plan.folder}: {error.strerror or error}"
        log.error("task %s: %s; trying again in %.0f s", plan.lease.id, message, _UNPREPARED_S)
        raise GiveBack("interrupted", message, delay=_UNPREPARED_S) from error
