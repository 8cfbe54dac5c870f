"""A screen that is drawn again in place every two seconds, until somebody presses q or Ctrl-C."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from cli.terminal import screen

_EVERY_S = 2.0
# The other screen, so that what was on the first is there again afterwards; no cursor.
_BEGIN, _END = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
# A terminal that knows it shows a frame at once (mode 2026); others ignore it.
_FRAME, _SHOWN = "\x1b[?2026h\x1b[H", "\x1b[J\x1b[?2026l"
_LINE = "\x1b[K\r\n"  # what was longer before is gone
_LEAVE = frozenset("qQ\x04")


def redraw(lines: Callable[[int, int], list[str]]) -> int:
    """Draw what `lines(columns, rows)` returns until a person leaves; 0, and the terminal is as it was."""
    with _taken_over() as resized:
        while True:
            width, height = screen()
            frame = _LINE.join(lines(width, height)[:height])
            _write(f"{_FRAME}{frame}\x1b[K{_SHOWN}")
            if _leaves(resized):
                break
    return 0


def _leaves(resized: int) -> bool:
    """Wait for the next turn, which comes at once when the window changes; whether a person wants no more."""
    watched = [resized, *([sys.stdin] if sys.stdin.isatty() else [])]
    try:
        ready, _, _ = select.select(watched, [], [], _EVERY_S)
    except KeyboardInterrupt:
        return True
    if resized in ready:
        os.read(resized, 1024)
    typed = os.read(sys.stdin.fileno(), 64).decode(errors="replace") if sys.stdin in ready else "-"
    return not typed or bool(set(typed) & _LEAVE)  # nothing to read: the terminal has gone


@contextmanager
def _taken_over() -> Iterator[int]:
    """Take the terminal over; yields a descriptor with something to read once the window has changed."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    waker = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    handlers = {
        signal.SIGWINCH: signal.signal(signal.SIGWINCH, lambda number, frame: None),
        signal.SIGTERM: signal.signal(signal.SIGTERM, _end),
        signal.SIGHUP: signal.signal(signal.SIGHUP, _end),
    }
    before = _without_echo()
    try:
        _write(_BEGIN)
        yield reading
    except KeyboardInterrupt:  # in the middle of asking
        pass
    finally:
        _write(_END)
        if before is not None:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(waker)
        os.close(reading)
        os.close(writing)


def _without_echo() -> list[Any] | None:
    """Let keys come one by one and unseen; what the terminal was like before, None where there is no keyboard.

    Ctrl-Z does nothing meanwhile: it would leave a shell on the wrong screen.
    """
    if not sys.stdin.isatty():
        return None
    before = termios.tcgetattr(sys.stdin)
    raw = termios.tcgetattr(sys.stdin)
    raw[3] &= ~(termios.ECHO | termios.ICANON)
    raw[6][termios.VSUSP] = b"\0"
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, raw)
    return before


def _end(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _write(text: str) -> None:
    """In one piece, so that no half frame is ever seen."""
    sys.stdout.write(text)
    sys.stdout.flush()
