"""The name of this machine, and the queue that only its own consumers take from."""

import os
import re
from pathlib import Path

from settings.document import Document
from settings.sections import field
from settings.values import Host

#: In front of a machine's name it is a queue: of tasks about that machine's own files.
OWN = "host:"
_NO_NAME = "localhost"


def read_host(document: Document, var: Path) -> str:
    """What `host:` says, else the name that this state folder was last used under, else the machine's own.

    Tasks wait under this name, so it must not follow a machine that is called something else in every network.
    """
    written = document.values.get("host")
    if written is not None:
        return str(field(document, ("host",), written, Host))
    return _remembered(var) or _own_name()


def own_queue(host: str) -> str:
    """The queue of what only this machine can do."""
    return OWN + host


def with_own(queues: tuple[str, ...], host: str) -> tuple[str, ...]:
    """Who takes from `default` takes from the machine's own queue, too."""
    own = own_queue(host)
    return (*queues, own) if "default" in queues and own not in queues else queues


def _remembered(var: Path) -> str:
    try:
        return _fitting((var / "host").read_text())
    except (OSError, UnicodeDecodeError):
        return ""


def _own_name() -> str:
    return _fitting(os.uname().nodename.partition(".")[0]) or _NO_NAME


def _fitting(name: str) -> str:
    """A name as a queue may have it; "" where nothing of it is left."""
    return re.sub(r"[^a-z0-9_.-]+", "-", name.strip().lower()).lstrip("_.-")[:60]
