"""Whether the next attempt of a task goes on in the session of an earlier one, and what it is told."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from consumers import handle, refusal
from consumers.folder import read
from consumers.outcome import Conclusion, conclude
from consumers.stream import Summary

_WORDS = """\
Your work on this task was cut off: {what} Go on from where you were. What you had done by then may be done \
in part or as a whole: look before you do it again.

The task was:

{prompt}"""
_AFRESH = """\
Somebody has worked on this task before you and was cut off: {what} What was said then is lost, but what was done \
may be done in part or as a whole: look before you do it again.

The task is:

{prompt}"""

_REFUSED_AFRESH = """\
Somebody has worked on this task before you, and the work was not accepted. {what}

What was said then is lost, but what was done is there: look before you do it again. The task is:

{prompt}"""

_REFUSED = """\
You had finished this task, and your work was not accepted. {what}

Correct what is wrong with it. The task was:

{prompt}"""


class Earlier(NamedTuple):
    """An attempt whose session the next one goes on in; `session` is empty when it is gone."""

    session: str
    message: str
    refused: str = ""
    """What was said against its success, where it was one."""


def earlier(folders: Iterable[Path], now: float) -> Earlier | None:
    """The latest attempt in which Claude had begun to work; None to begin afresh.

    `folders` are those of a task's attempts on this host, the newest first; `now` is Unix seconds. A session
    that Claude did not find again is given up, with all before it; what was done in it may be there all the same.
    """
    lost = False
    for folder in folders:
        ended = handle.exit_of(folder)
        if ended is None:
            continue
        summary, _ = read(folder, Summary())
        end = conclude(summary, ended, now)
        lost = lost or end.session_gone
        if summary.alive and summary.session_id:
            return Earlier("" if lost else summary.session_id, _what(end), refusal.of(folder))
    return None


def words(found: Earlier, prompt: str) -> str:
    """The prompt that the resumed session gets, or the fresh one in the place of one that is gone."""
    if found.refused:
        text = _REFUSED if found.session else _REFUSED_AFRESH
        return text.format(what=found.refused, prompt=prompt)
    return (_WORDS if found.session else _AFRESH).format(what=found.message, prompt=prompt)


def _what(end: Conclusion) -> str:
    return end.message.rstrip(". ") + "."
