"""Whether a success is one: `json_schema` and the `verify` command of the task decide.

The command is a run like any other, in a folder of its own within the attempt's: the same runner reaps it and ends it
at its limit, and who adopts the attempt finds it there. What it prints is read when it has ended.
"""

from __future__ import annotations

import json
import logging
import shlex
import shutil
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from consumers import claude, handle, refusal
from consumers import folder as folders
from consumers.outcome import SHORT_OF, Conclusion, Exit, Outcome
from consumers.preparation import Plan, launch
from consumers.remedies import signal_name
from consumers.times import DEADLINE_S, LADDER_S
from durable.records import Lease
from durable.verdicts import Fail, GiveBack

if TYPE_CHECKING:
    from settings import ClaudeOptions, Settings

log = logging.getLogger(__name__)

OUTPUT = "stdout.log"
TASK_ID = "BATON_TASK_ID"
_REMEDY = "Write a program into `verify` that is there and may be executed."
_BYTES = 4 * refusal.LONGEST_WORDS  # of UTF-8

#: Holds a run until it has ended.
Follow = Callable[[handle.Handle], Exit]
Until = Callable[[], float | None]


class Verification:
    """Judges the successes of one consumer."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def judge(
        self,
        lease: Lease,
        end: Conclusion,
        options: ClaudeOptions,
        run: Path,
        follow: Follow,
        until: Until,
    ) -> Conclusion:
        """The conclusion of the run in the folder `run`, once its answer is checked; others pass through.

        `until` says the deadline of a check that is begun now, where that is a point in time.

        A check that was begun for this run, by whichever attempt, is not begun again. Raises GiveBack, and
        whatever `follow` raises.
        """
        if end.outcome is not Outcome.SUCCEEDED:
            return end
        judged, words = misfit(end, options), ""
        if judged is None and options.verify:
            ended, where = self._ended(lease, end, options, run, follow, until)
            words = refusal.last_words(_tail(where / OUTPUT), _tail(where / "stderr.log"))
            judged = verdict(end, ended, options.verify, words)
        if judged is None:
            return end
        if judged.outcome in (Outcome.UNVERIFIED, Outcome.CRASHED):
            refusal.keep(run, refusal.text(_sentence(judged, words), words))
        return judged

    def _ended(
        self,
        lease: Lease,
        end: Conclusion,
        options: ClaudeOptions,
        run: Path,
        follow: Follow,
        until: Until,
    ) -> tuple[Exit, Path]:
        check = self._begun(lease, run)
        if check is None:
            plan = self._plan(lease, end, options, run)
            plan.command["deadline_at"] = until()
            check = launch(plan)
        log.info("task %s: its answer is checked in %s", lease.id, check.folder)
        return follow(check), check.folder

    def _begun(self, lease: Lease, run: Path) -> handle.Handle | None:
        """The check of this run that lives, or came to an answer; also when a later attempt had begun it."""
        for number in range(lease.attempt, int(run.name) - 1, -1):
            check = handle.of(folders.of(self.settings.var, lease.id, number) / folders.CHECK)
            own = number == lease.attempt
            if check is not None and own and _never_began(check):
                raise GiveBack(
                    "interrupted", "the check of its answer had not begun; it runs again"
                )
            if check is not None and (own or (ended := check.poll()) is None or decided(ended)):
                return check
        return None

    def _plan(self, lease: Lease, end: Conclusion, options: ClaudeOptions, run: Path) -> Plan:
        """The check as the runner takes it; the text of the answer is its standard input."""
        tmpdir = Path(tempfile.gettempdir()) / f"baton-{uuid.uuid4().hex[:12]}"
        marker = f"{lease.id}/{lease.attempt}"
        environ = claude.environment(self.settings.environ, options.env, str(tmpdir), marker)
        program, *words = options.verify
        command: dict[str, Any] = {
            "argv": [_program(program, self.settings.base, environ.get("PATH", "")), *words],
            "env": environ | {TASK_ID: lease.id},
            "cwd": json.loads((run / "command.json").read_bytes())["cwd"],
            "umask": 0o077,
            "tmpdir": str(tmpdir),
            "output": OUTPUT,
            "marker": marker,
            "token": lease.token,
            "socket": str(self.settings.run_dir / f"v{lease.token}.sock"),
            "max_runtime_s": float(options.verify_timeout),
            "max_silence_s": None,
            "deadline_s": DEADLINE_S,
            "ladder_s": LADDER_S,
        }
        folder = folders.of(self.settings.var, lease.id, lease.attempt) / folders.CHECK
        return Plan(lease, folder, options, command, end.text, end.session_id or "")


def misfit(end: Conclusion, options: ClaudeOptions) -> Conclusion | None:
    """The refusal of an answer without structured output where a schema asks for one; None when it is there.

    That it fits has been seen by the CLI, which takes no other; but Claude may end without giving it, and the
    CLI calls that a success.
    """
    if options.json_schema is None or end.structured is not None:
        return None
    return _but(
        end, Outcome.UNVERIFIED, "Claude gave no structured answer, which `json_schema` asks for."
    )


def decided(ended: Exit) -> bool:
    """Whether the check came to an answer: it ended by itself or at its limit, and was not broken off."""
    return not ended.lost_runner and ended.stopped in (None, "timed_out")


def verdict(
    end: Conclusion, ended: Exit, argv: tuple[str, ...], words: str = ""
) -> Conclusion | None:
    """What a check that ended so makes of a success; None when it said yes. Pure."""
    name = f"`{shlex.join(argv)}`" if len(argv) < 8 else f"`{argv[0]}`"
    if ended.spawn_error is not None:
        return _not_started(end, ended, name)
    if ended.stopped == "cancelled":
        return _but(end, Outcome.CANCELLED, "It was cancelled while its answer was checked.")
    if ended.lost_runner:  # counted: memory that runs out at each check must not go on for ever
        return _but(end, Outcome.CRASHED, f"The runner of the check {name} was killed.")
    if not decided(ended):
        return _but(end, Outcome.INTERRUPTED, f"The check {name} was broken off; it runs again.")
    if ended.stopped is None and ended.exit_code == 0:
        return None
    said = refusal.short(words)
    what = f"The check {name} {_how(ended)}"
    return _but(end, Outcome.UNVERIFIED, f"{what}: {said}" if said else f"{what}.")


def _not_started(end: Conclusion, ended: Exit, name: str) -> Conclusion:
    what = f"The check {name} could not be started: {ended.spawn_error}"
    if ended.spawn_errno is None or ended.spawn_errno in SHORT_OF:
        return _but(end, Outcome.CRASHED, what)
    return _but(end, Outcome.REJECTED, what, _REMEDY)


def _how(ended: Exit) -> str:
    if ended.stopped == "timed_out":
        return "did not end within `verify_timeout`"
    if ended.signal is not None:
        return f"was ended by {signal_name(ended.signal)}"
    return f"said no (exit status {ended.exit_code})"


def _but(end: Conclusion, outcome: Outcome, message: str, remedy: str = "") -> Conclusion:
    return msgspec.structs.replace(end, outcome=outcome, message=message, remedy=remedy)


def _sentence(judged: Conclusion, words: str) -> str:
    """The message without the quotation in it, which follows in full."""
    return judged.message.removesuffix(f": {refusal.short(words)}").rstrip(".") + "."


def _never_began(check: handle.Handle) -> bool:
    """Its consumer was killed before its runner was there; none begins any more, since `poll` has written its end."""
    ended = check.poll()
    return ended is not None and ended.lost_runner and not (check.folder / "runner.json").exists()


def _program(word: str, base: Path, search: str) -> str:
    """Absolute, as the runner needs it. Raises Fail for a name that is not on PATH."""
    if "/" in word:
        return str(base / Path(word).expanduser())
    if found := shutil.which(word, path=search):
        return str(Path(found).absolute())
    raise Fail("rejected", f"`verify` names {word}, and no program on PATH is called that", _REMEDY)


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _BYTES))
            return file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
