"""Who an owner is: the instance (made once per state folder), the host, and the name of the process."""

from __future__ import annotations

import os
import platform
import pwd
import uuid
from pathlib import Path

#: Another id for this host. For tests only, which play several hosts on one machine; `up` passes it to no app.
PRETEND = "BATON_HOST_ID"
_MACHINE_FILES = ("/etc/machine-id", "/var/lib/dbus/machine-id")


def instance_id(var: Path) -> str:
    """The id of a state folder, written at its first use; the same for every process of the instance."""
    file = var / "instance-id"
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        pass
    var.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = var / f".instance-id.{os.getpid()}"
    draft.write_text(uuid.uuid4().hex + "\n")
    try:
        os.link(draft, file)  # the first one wins, whole
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return file.read_text().strip()


def host_id() -> str:
    """This machine (and container: the pid namespace), the same after a reboot."""
    if pretended := os.environ.get(PRETEND):
        return pretended
    for name in _MACHINE_FILES:
        try:
            machine = Path(name).read_text().strip()
        except OSError:
            continue
        if machine:
            break
    else:
        machine = f"{platform.node()}-{uuid.getnode():x}"
    try:
        namespace = str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:
        namespace = "0"
    return f"{machine[:12]}-{namespace}"


def host_name() -> str:
    """This machine as people call it: what `hostname` says, without its domain."""
    return platform.node().partition(".")[0] or "localhost"


def person(host: str) -> str:
    """Who runs this process, as a task that it puts in says: the user of the operating system, at the host."""
    return f"{user()}@{host}"


def user() -> str:
    """The user of the operating system that runs this process, by name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container with a user of its own
        return f"uid-{os.getuid()}"


def keep_host_name(var: Path, name: str) -> None:
    """Remember the name that this state folder's own queue has, for the day on which the machine is renamed."""
    file = var / "host"
    try:
        if file.read_text().strip() == name:
            return
    except (OSError, UnicodeDecodeError):
        pass
    var.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = var / f".host.{os.getpid()}"
    draft.write_text(name + "\n")
    draft.replace(file)


def owner(var: Path, name: str) -> str:
    """The owner that leases are given to: the same again when the process of this name is restarted."""
    return f"{instance_id(var)[:12]}:{host_id()}:{name}"
