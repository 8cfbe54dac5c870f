"""Run by a tool of claude: starts children of every kind that is hard to end, and stays until FOLDER/go exists.

`python -IS zoo.py FOLDER`; each kind writes `pid session` to FOLDER/<kind>. All of it is over by itself
after ten minutes, and the storm after a few seconds.
"""

import os
import signal
import sys
import time
from pathlib import Path

KINDS = ("plain", "own_session", "daemon", "deaf", "stopped", "wiped", "closed", "storm", "shed")
#: What sheds its ancestry and its environment is not found once the runner was killed; promise 5 says so.
EXCEPTION = "shed"
LIFE_S, STORM_S, PATIENCE_S = 600, 8, 100
FOLDER = Path(sys.argv[1]) if __name__ == "__main__" else Path()


def note(kind: str) -> None:
    """Say that this process is the one of its kind."""
    draft = FOLDER / f"{kind}.new"
    draft.write_text(f"{os.getpid()} {os.getsid(0)}")
    draft.rename(FOLDER / kind)


def stay(kind: str) -> None:
    """Be there."""
    note(kind)
    time.sleep(LIFE_S)


def deafen() -> None:
    """Ignore what asks for an end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def fork_off() -> None:
    """Go on as a child whose parent has gone."""
    if os.fork():
        os._exit(0)


def become(kind: str) -> None:
    """Be one of the kinds, to the end."""
    if kind in ("own_session", "daemon", "wiped", "storm", "shed"):
        os.setsid()
    if kind in ("daemon", "shed"):
        fork_off()
    if kind in ("deaf", "daemon", "storm"):
        deafen()
    if kind in ("wiped", "shed"):
        note(kind)
        os.execve("/bin/sleep", ["sleep", str(LIFE_S)], {})
    if kind == "closed":
        os.closerange(0, 4096)
    if kind == "stopped":
        note(kind)
        os.kill(os.getpid(), signal.SIGSTOP)
    if kind == "storm":
        storm(kind)
    stay(kind)


def storm(kind: str) -> None:
    """Once FOLDER/storm exists: fork and exit without a pause, so that no look at the table stays true."""
    note(kind)
    while not (FOLDER / "storm").exists():
        time.sleep(0.05)
    end = time.monotonic() + STORM_S
    while time.monotonic() < end:
        fork_off()
    time.sleep(LIFE_S)


def main() -> None:
    """Start them all, say so, wait for the word to go."""
    for kind in KINDS:
        if os.fork() == 0:
            become(kind)
            os._exit(0)
    while not all((FOLDER / kind).exists() for kind in KINDS):
        time.sleep(0.02)
    (FOLDER / "ready").touch()
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end and not (FOLDER / "go").exists():
        time.sleep(0.05)


if __name__ == "__main__":
    main()
