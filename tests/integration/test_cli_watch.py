"""`status --watch` on a terminal: it draws in place, leaves when asked, and leaves the terminal as it was."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import ROOT, wait_until
from tests.site import Site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("w"), {"consumers": 1})
    yield made  # without Redis and PM2: the screen says so, and goes on
    made.close()


class Terminal:
    """A terminal of 80x24 with `./baton status --watch` in it."""

    def __init__(self, site: Site) -> None:
        self.master, self.slave = pty.openpty()
        self.resize(80, 24)
        self.before = self.modes()
        self.text = ""
        env = site.env | {"PYTHONPATH": str(ROOT), "PM2_HOME": str(site.folder)}
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "cli", "status", "--watch"],
            env=env, stdin=self.slave, stdout=self.slave, stderr=self.slave, start_new_session=True,
        )  # fmt: skip

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def modes(self) -> list[Any]:
        return termios.tcgetattr(self.slave)[:4]

    def frames(self) -> list[str]:
        """The frames drawn so far, without the escapes that place them."""
        while select.select([self.master], [], [], 0)[0]:
            self.text += os.read(self.master, 65_536).decode()
        return self.text.split("\x1b[?2026h\x1b[H")[1:]

    def wait(self, count: int) -> None:
        wait_until(lambda: len(self.frames()) >= count, 60, f"{count} frames")

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal(site: Site) -> Iterator[Terminal]:
    made = Terminal(site)
    yield made
    made.close()


@pytest.mark.parametrize("way", ["q", "ctrl-c", "sigterm"])
def test_it_leaves_when_asked_and_the_terminal_is_as_it_was(terminal: Terminal, way: str) -> None:
    terminal.wait(1)
    assert terminal.modes() != terminal.before
    if way == "q":
        os.write(terminal.master, b"xq")
    else:
        terminal.process.send_signal(signal.SIGINT if way == "ctrl-c" else signal.SIGTERM)
    assert terminal.process.wait(30) == (143 if way == "sigterm" else 0)
    terminal.frames()
    assert terminal.modes() == terminal.before
    assert terminal.text.startswith("\x1b[?1049h\x1b[?25l")
    assert terminal.text.endswith("\x1b[?25h\x1b[?1049l")
    assert "Traceback" not in terminal.text


def test_it_is_drawn_again_in_place_and_at_once_in_another_size(terminal: Terminal) -> None:
    terminal.wait(2)
    first = terminal.frames()[0]
    assert "\x1b[2J" not in terminal.text  # an emptied screen is what flickers
    assert first.count("\r\n") < 24
    assert "Redis does not answer" in first
    assert first.endswith("\x1b[J\x1b[?2026l")
    terminal.resize(40, 5)
    drawn = len(terminal.frames())
    begun = time.monotonic()
    terminal.process.send_signal(signal.SIGWINCH)
    terminal.wait(drawn + 1)
    wait_until(lambda: terminal.frames()[-1].count("\r\n") < 5, 60, "the smaller screen")
    assert time.monotonic() - begun < 60


def test_without_a_terminal_it_says_what_to_do_instead(site: Site) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "cli", "status", "--watch"],
        env=site.env | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "./baton status --json" in done.stderr
