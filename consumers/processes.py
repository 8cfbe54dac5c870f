"""The process table: who descends from whom, who carries an attempt's marker, who is still alive.

Linux reads /proc. macOS asks `ps`, which is weaker: it shows the environment of most programs but
not of those that the system protects, and an orphan's ancestry is gone there. The runner imports
this module, so its imports stay light.
"""

from __future__ import annotations

import os
import sys
import time

from consumers.light import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MARKER = "BATON_ATTEMPT"
"""The variable that every process of an attempt carries: `<task id>/<attempt number>`."""

LINUX = sys.platform.startswith("linux")
SIGKILL = 9
LOOKS = 3
#: Where no runner is left to which orphans come back, a look at the table is all there is.
THOROUGH_LOOKS = 15
FIRST_PAUSE_S = 0.001
LONGEST_PAUSE_S = 0.05


class Process:
    """One row of the process table."""

    __slots__ = ("group", "parent", "pid", "session", "state")

    def __init__(self, pid: int, parent: int, group: int, session: int, state: str) -> None:
        self.pid, self.parent, self.state = pid, parent, state
        self.group, self.session = group, session

    @property
    def dead(self) -> bool:
        """A zombie: it only waits for its parent to look."""
        return self.state in "ZX"


def boot_id() -> str:
    """Name this boot of the machine, so that a pid from before a reboot is never believed."""
    if not LINUX:
        return _output("sysctl", "-n", "kern.bootsessionuuid").strip()
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def start_time(pid: int) -> str | None:
    """When `pid` started (Linux: clock ticks since boot), or None when there is no such process."""
    if not LINUX:
        return _output("ps", "-o", "lstart=", "-p", str(pid)).strip() or None
    fields = _stat(pid)
    return fields[19] if fields else None


def alive(pid: int, started: str) -> bool:
    """Whether the very process that started at `started` still runs; a reused pid is another."""
    if not LINUX:
        return start_time(pid) == started
    fields = _stat(pid)
    return fields is not None and fields[19] == started and fields[0] not in "ZX"


def descendants(pid: int) -> list[Process]:
    """Every process below `pid`, parents before their children; zombies (`dead`) too."""
    return _below({pid}, _table())


def marked(marker: str) -> list[int]:
    """The pids that carry the marker: of one attempt (`task/2`) or of every one of a task (`task`).

    Only processes whose environment we may read are seen: our own user's, or all for root. A
    process that wiped its environment is not seen.
    """
    wanted = f"{MARKER}={marker}".encode()
    wanted += b"\0" if "/" in marker else b"/"
    find = _marked_by_proc if LINUX else _marked_by_ps
    return [pid for pid in find(wanted) if pid != os.getpid()]


def unmarked_kin(pids: Iterable[int]) -> list[int]:
    """What wiped its environment, but lives below one of these marked processes or in a session of theirs.

    A session that was begun inside an attempt holds nothing else. One whose leader lives and is not
    marked was begun elsewhere: a person runs an attempt again by hand, say.
    """
    table, marked_ones = _table(), set(pids)
    strangers = {row.pid for row in table if not row.dead} - marked_ones
    sessions = {row.session for row in table if row.pid in marked_ones} - strangers
    kin = _below(marked_ones, table) + [row for row in table if row.session in sessions]
    return list({row.pid: row for row in kin if not row.dead and row.pid not in marked_ones})


def sweep_attempt(marker: str, deadline: float, looks: int = LOOKS) -> int:
    """SIGKILL what carries the marker, and the kin of it that does not; how many were killed.

    The kin first, and while those that carry the marker stand still: once they are dead, nothing
    tells any more whose children theirs were. Otherwise like sweep.
    """

    def kin() -> list[int]:
        carriers = marked(marker)
        for pid in carriers:
            send(pid, signal.SIGSTOP)
        return unmarked_kin(carriers)

    killed = sweep(kin, deadline)
    return killed + sweep(lambda: marked(marker), deadline, looks)


def sweep(find: Callable[[], Iterable[int]], deadline: float, looks: int = LOOKS) -> int:
    """SIGKILL what `find` returns, with its process group, until it returns nothing any more.

    Several looks must find nothing, because a process that forks and exits while the table is read
    is missed by one; `looks` in a row. Gives up at `deadline` (time.monotonic()). Returns how many were killed.
    """
    killed: set[int] = set()
    looks_without = 0
    pause_s = FIRST_PAUSE_S
    while looks_without < looks and time.monotonic() < deadline:
        pids = list(find())
        killed.update(pid for pid in pids if kill(pid))
        looks_without = 0 if pids else looks_without + 1
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
    return len(killed)


def kill(pid: int) -> bool:
    """SIGKILL a process and its group: a whole group dies at once, even one that keeps forking.

    Not the group when the process is of our own session. An attempt's never is, and its groups
    hold nothing else: they cannot leave the session that the runner began for claude.
    """
    try:
        if os.getsid(pid) != os.getsid(0):
            kill_group(os.getpgid(pid))
    except (ProcessLookupError, PermissionError):
        return False
    return send(pid, SIGKILL) or start_time(pid) is None


def kill_group(group: int) -> None:
    """SIGKILL to every process of a group that is ours to signal."""
    if group <= 1:
        return
    try:
        os.killpg(group, SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def send(pid: int, number: int) -> bool:
    """Send a signal; False when the process is gone or not ours to signal."""
    if pid <= 1:  # 0 and -1 mean "a whole group" and "everybody"
        return False
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _below(roots: set[int], table: list[Process]) -> list[Process]:
    children: dict[int, list[Process]] = {}
    for process in table:
        children.setdefault(process.parent, []).append(process)
    found = [child for pid in roots for child in children.get(pid, ())]
    for process in found:  # the list grows while it is walked: breadth first
        found.extend(children.get(process.pid, ()))
    return found


def _table() -> list[Process]:
    return _table_of_proc() if LINUX else _table_of_ps()


def _pids() -> list[int]:
    """The newest first, because those may be gone the soonest."""
    return sorted((int(name) for name in os.listdir("/proc") if name.isdigit()), reverse=True)


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the third on: state, parent, group … (proc(5))."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read().decode("ascii", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text[text.rindex(")") + 2 :].split()  # the name before it may hold anything


def _table_of_proc() -> list[Process]:
    rows = ((pid, _stat(pid)) for pid in _pids())
    return [Process(pid, int(row[1]), int(row[2]), int(row[3]), row[0]) for pid, row in rows if row]


def _marked_by_proc(wanted: bytes) -> list[int]:
    found = []
    for pid in _pids():
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                environment = b"\0" + file.read()
        except OSError:  # gone, or another user's
            continue
        if b"\0" + wanted in environment:
            found.append(pid)
    return found


def _table_of_ps() -> list[Process]:
    rows = []
    for line in _output("ps", "-axo", "pid=,ppid=,pgid=,stat=").splitlines():
        pid, parent, group, state = line.split()[:4]
        # ps names no session's number there; a group is a part of one.
        rows.append(Process(int(pid), int(parent), int(group), int(group), state[0]))
    return rows


def _marked_by_ps(wanted: bytes) -> list[int]:
    text = wanted.rstrip(b"\0").decode()
    found = []
    for line in _output("ps", "-axEwwo", "pid=,command=").splitlines():
        pid, _, command = line.strip().partition(" ")
        words = command.split()
        if text in words or (text.endswith("/") and any(word.startswith(text) for word in words)):
            found.append(int(pid))
    return found


def _output(*argv: str) -> str:
    import subprocess  # slow to import and needed on macOS only

    finished = subprocess.run(argv, capture_output=True, text=True, check=False)
    return finished.stdout
