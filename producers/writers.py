"""Whether another process still has a file open for writing, as the kernel says: no scan of /proc."""

from __future__ import annotations

import errno
import fcntl
import signal
import sys
from enum import Enum


class Writers(Enum):
    """Who has a file open for writing."""

    NONE = "none"
    SOME = "some"
    UNKNOWN = (
        "unknown"  # another system than Linux, another one's file, a file system that cannot tell
    )


#: F_SETSIG of fcntl(2), which Python does not name. Whoever opens the file in the microseconds of the lease makes the
#: kernel signal us: SIGIO would end the process, SIGURG is ignored by everybody.
_F_SETSIG = 10


def writers(descriptor: int) -> Writers:
    """Ask for a read lease, which the kernel refuses while the file is open for writing, and give it back.

    It takes 4 µs. The descriptor must be open for reading only. Mapped files and other names of the file count too;
    what another machine writes by NFS does not.
    """
    if not sys.platform.startswith("linux"):
        return Writers.UNKNOWN
    try:
        fcntl.fcntl(descriptor, _F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return Writers.SOME if error.errno == errno.EAGAIN else Writers.UNKNOWN
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return Writers.NONE
