"""How Claude Code is called: its arguments, its environment, where it is, what it pays with.

What its output means stands in stream, complaints and outcome; running it is the runner's part.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sys
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from consumers.processes import MARKER
from settings import CLI_OPTIONS, ClaudeOptions, Settings
from settings import credential as variables_credential

ALWAYS = ("HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG", "TZ")
"""Every attempt gets these, and LC_*; everything else only if `claude.env` names it."""

_SESSIONS = uuid.UUID("b0a70e51-5e55-5a0d-8d2c-6c3a0f1de001")
_JOINED = ("setting_sources",)  # one value with commas; the CLI takes the other lists repeated
_MACHINES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}
_STATUS_WITHIN_S = 15.0
#: How programs begin: ELF, scripts, Mach-O of one and of several machines.
_PROGRAMS = (b"\x7fELF", b"#!", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")


class Found(msgspec.Struct, frozen=True):
    """Where claude is (absolute), and by which of the ways it was found."""

    path: Path
    source: str


class Missing(msgspec.Struct, frozen=True):
    """There is no claude; `remedy` says in one sentence how to get it."""

    remedy: str


class LoginState(msgspec.Struct, frozen=True):
    """What `claude auth status` says; `logged_in` is None when it gave no answer."""

    logged_in: bool | None
    method: str = ""


def argv(
    claude_path: str,
    options: ClaudeOptions,
    session_id: str,
    resume: bool = False,
    denied_paths: Iterable[Path] = (),
) -> list[str]:
    """The command line. The prompt is not in it: it comes on standard input.

    Every value is written as `--flag=value`, so that one with a leading dash stays a value.
    """
    session = f"--resume={session_id}" if resume else f"--session-id={session_id}"
    fixed = ["-p", "--output-format=stream-json", "--verbose", session]
    return [claude_path, *fixed, *_flags(options), *_denials(denied_paths)]


def environment(
    base: Mapping[str, str], names: Iterable[str], tmpdir: str, marker: str
) -> dict[str, str]:
    """Exactly what an attempt may see: the usual few, those named, and Baton's own three."""
    wanted = {*ALWAYS, *names}
    chosen = {
        name: value for name, value in base.items() if name in wanted or name.startswith("LC_")
    }
    return chosen | {"DISABLE_AUTOUPDATER": "1", "TMPDIR": tmpdir, MARKER: marker}


def session_id(task_id: str, attempt: int) -> str:
    """The session of an attempt: known before it starts, and the same when it is asked for again."""
    return str(uuid.uuid5(_SESSIONS, f"{task_id}/{attempt}"))


def credential(env: Mapping[str, str], home: Path) -> str:
    """What is billed: a third party's name, `api_key`, `auth_token`, `oauth_token`, `login`, `none`.

    In the CLI's own order. On macOS a login lies in the keychain; there `.claude.json` tells.
    """
    if named := variables_credential(env):
        return named
    folder = Path(env.get("CLAUDE_CONFIG_DIR") or home / ".claude")
    return "login" if _has_login(folder, home) else "none"


def login_state(claude_path: str, env: Mapping[str, str]) -> LoginState:
    """Ask the CLI whether it has a credential, in the environment that a task would have.

    It looks at what is stored; only a call to the API shows whether that is still accepted.
    """
    import subprocess  # `status` finds claude without running it

    try:
        finished = subprocess.run(
            [claude_path, "auth", "status"],
            env=dict(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_STATUS_WITHIN_S,
            check=False,
        )
        said = json.loads(finished.stdout)
        return LoginState(bool(said["loggedIn"]), str(said.get("authMethod", "")))
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError):
        return LoginState(None)


def locate(settings: Settings) -> Found | Missing:
    """`claude.command` of baton.yaml, else `claude` on PATH, else what `up` found, else node_modules."""
    search = settings.environ.get("PATH", os.defpath)
    if settings.claude_command:
        return _configured(settings.claude_command, settings.base, search)
    if path := _on_path(search):
        return Found(path, "PATH")
    if path := _recorded(settings.var):
        return Found(path, "what ./baton up found")
    for path in _bundled(settings.root):
        if _runs(path):
            return Found(path, "node_modules")
    return Missing(
        "Claude Code is not installed: run `npm install -g @anthropic-ai/claude-code`, "
        "or write its path into baton.yaml as `command:` under `claude:`."
    )


def _flags(options: ClaudeOptions) -> Iterator[str]:
    for name in CLI_OPTIONS:
        flag, value = "--" + name.replace("_", "-"), getattr(options, name)
        if value is None or value is False or value == ():
            continue
        if value is True:
            yield flag
        elif isinstance(value, tuple):
            items = (",".join(value),) if name in _JOINED else value
            yield from (f"{flag}={item}" for item in items)
        else:
            yield f"{flag}={json.dumps(value) if isinstance(value, dict) else value}"


def _denials(paths: Iterable[Path]) -> Iterator[str]:
    """Rules that keep the file tools from a file, or from a folder and all below it.

    `//` begins an absolute path in the CLI's rules. What is special in a pattern, or would end a
    rule in the CLI's list of them, becomes `?`, which stands for any one character.
    """
    for path in paths:
        pattern = re.sub(r"[^\w./@+~%-]", "?", str(path.absolute()))
        yield f"--disallowed-tools=Read(/{pattern})"
        yield f"--disallowed-tools=Edit(/{pattern})"


def _has_login(folder: Path, home: Path) -> bool:
    if (folder / ".credentials.json").is_file():
        return True
    if sys.platform != "darwin":
        return False
    try:
        return "oauthAccount" in json.loads((home / ".claude.json").read_text("utf-8"))
    except (OSError, ValueError):
        return False


def _configured(command: str, base: Path, search: str) -> Found | Missing:
    if "/" in command:
        path: Path | None = base / Path(command).expanduser()
    else:
        found = shutil.which(command, path=search)
        path = Path(found) if found else None
    if path is not None and _runs(path):
        return Found(path.absolute(), "baton.yaml")
    return Missing(
        f"`command: {command}` under `claude:` in baton.yaml is no program: correct it and run `./baton up`."
    )


def _on_path(search: str) -> Path | None:
    """Not from npm's .bin folder: what lies there may be a stub that only prints advice."""
    folders = [folder for folder in search.split(os.pathsep) if folder]
    useful = os.pathsep.join(folder for folder in folders if Path(folder).name != ".bin")
    found = shutil.which("claude", path=useful) if useful else None
    return Path(found).absolute() if found and _runs(Path(found)) else None


def _recorded(var: Path) -> Path | None:
    """Where the last `up` found it: a boot starts the apps with a shorter PATH than a shell has."""
    try:
        path = Path((var / "claude-path").read_text().rstrip("\n"))
    except OSError:
        return None
    return path if path.is_absolute() and _runs(path) else None


def _bundled(root: Path) -> Iterator[Path]:
    system = "darwin" if sys.platform == "darwin" else "linux"
    machine = _MACHINES.get(platform.machine().lower(), platform.machine())
    names = [f"claude-code-{system}-{machine}", f"claude-code-{system}-{machine}-musl"]
    if any(Path("/lib").glob("ld-musl-*")):
        names.reverse()
    for name in names:
        yield root / "node_modules" / "@anthropic-ai" / name / "claude"


def _runs(path: Path) -> bool:
    """Whether the system would run it. What npm leaves where its install script may not run is a text without `#!`."""
    if not path.is_file() or not os.access(path, os.X_OK):
        return False
    try:
        with path.open("rb") as file:
            return file.read(4).startswith(_PROGRAMS)
    except OSError:  # it may be run, and not be read
        return True
