"""How a runner starts claude: with nothing of its own in there, and so that nothing escapes."""

from __future__ import annotations

import _ctypes  # the C half: `ctypes` itself adds 3 to 4 ms and 0.3 MiB to every attempt
import os

from consumers import processes
from consumers.light import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # prctl(2)
NEW_FILE = os.O_WRONLY | os.O_APPEND | os.O_CREAT
STREAM_FILE = os.O_RDWR | os.O_APPEND | os.O_CREAT  # the runner reads it too


def spawn(command: dict[str, Any]) -> tuple[int, int]:
    """Start argv in a session of its own; returns its pid and the descriptor of its stream.

    Standard input is prompt.md, the streams go straight to files (a pipe has been seen cut at
    64 KiB). Raises OSError when it cannot be started, with the path that is at fault.
    """
    _prctl(PR_SET_CHILD_SUBREAPER, 1)  # orphans of any depth become our children
    files = (
        os.open("prompt.md", os.O_RDONLY),
        os.open(command.get("output", "stream.jsonl"), STREAM_FILE, 0o600),
        os.open("stderr.log", NEW_FILE, 0o600),
    )
    read_end, write_end = os.pipe()
    runner = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(command, files, write_end, runner)
    os.close(write_end)
    error = os.read(read_end, 65_536)  # ends empty when exec closes the other end
    os.close(read_end)
    if error:
        number, _, words = error.decode().partition(" ")
        raise OSError(int(number), words)
    return pid, files[1]


def _become(
    command: dict[str, Any], files: tuple[int, ...], complain_to: int, runner: int
) -> NoReturn:
    """In the child: turn into claude, or say why not."""
    try:
        os.setsid()
        _prctl(PR_SET_PDEATHSIG, processes.SIGKILL)  # the runner killed: claude must not run on
        if os.getppid() != runner:  # it was killed before that line
            os._exit(127)
        _forget_signals()
        for number, file in enumerate(files):
            os.dup2(file, number)
        os.umask(command["umask"])
        os.chdir(command["cwd"])
        os.execve(command["argv"][0], command["argv"], _environment(command))
    except OSError as error:
        words = f"{error.errno or 0} {error.filename or command['argv'][0]}: {error.strerror}"
    except BaseException as error:  # noqa: BLE001 - nothing may return from here
        words = f"0 command.json: {type(error).__name__}: {error}"
    os.write(complain_to, words.encode("utf-8", "replace"))
    os._exit(127)


def _environment(command: dict[str, Any]) -> dict[str, str]:
    """The values came with our own environment, so that no secret lies in a file."""
    named = {name: os.environ[name] for name in command["env"] if name in os.environ}
    return named | {processes.MARKER: command["marker"]}


def _forget_signals() -> None:
    """Default actions and an empty mask: ignored and blocked signals survive an exec."""
    for number in signal.valid_signals():
        if number not in (processes.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _prctl(option: int, value: int) -> None:
    if processes.LINUX:  # macOS has neither; there the marker and the process tree must do
        prctl = _ctypes.dlsym(_ctypes.dlopen(None, 0), "prctl")  # type: ignore[arg-type]  # as CDLL(None) does
        _ctypes.call_function(prctl, (option, value, 0, 0, 0))
