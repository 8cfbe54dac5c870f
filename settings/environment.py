"""What comes from outside baton.yaml: environment variables, `.env`, and the folders they name.

`.env` is lines of KEY=VALUE that Docker Compose reads the same way; nothing in it is executed.
"""

import contextlib
import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from settings.document import SettingsError, place, read_text

# What every attempt gets, and what Baton itself reads. Anything else must be named in `env:`.
_KEPT = (
    "HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG", "TZ",
    "BATON_CONFIG", "BATON_VAR", "PM2_HOME", "REDIS_URL", "BATON_REDIS_PASSWORD",
)  # fmt: skip

# A unix socket's path ends at 104 bytes on macOS and 108 on Linux; 90 leaves room to rename.
_SOCKET_PATH_BYTES = 90
_LONGEST_SOCKET_NAME = len("/") + 32 + len("-999999.sock")  # "<task id>-<attempt>.sock"

# Patterns as text: they are compiled when there is a `.env`, which saves a millisecond otherwise.
_NAME = r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)"
_DOUBLE = r'"((?:[^"\\]|\\.)*)"\s*(?:#.*)?'
_SINGLE = r"'([^']*)'\s*(?:#.*)?"
_ESCAPE = r"\\(.)"
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}
_FORM = "Write KEY=value, KEY=\"value\" or KEY='value', one a line."


class Dotenv(NamedTuple):
    """What `.env` says: values and lines by name, and whether other users may read the file."""

    file: Path
    values: dict[str, str]
    lines: dict[str, int]
    exposed: bool

    def error(self, name: str, problem: str, remedy: str) -> SettingsError:
        """The error for one name of the file, to be raised by the caller."""
        return SettingsError(self.file, self.lines.get(name), problem, remedy)


class Surroundings(NamedTuple):
    """The environment with `.env` under it; a variable that is empty counts as unset."""

    process: Mapping[str, str]
    dotenv: Dotenv

    def get(self, name: str) -> str:
        """The value of a variable, or nothing."""
        return self.process.get(name) or self.dotenv.values.get(name, "")

    def error(self, name: str, problem: str, remedy: str) -> SettingsError:
        """The error for a variable, placed where it was set, to be raised by the caller."""
        if self.process.get(name):
            return SettingsError(Path("environment"), None, f"{name}: {problem}", remedy)
        return self.dotenv.error(name, f"{name}: {problem}", remedy)

    def kept(self, named: Iterable[str]) -> dict[str, str]:
        """What Baton and its attempts may see: the usual, those named, all of `.env`."""
        names = {*_KEPT, *named, *self.dotenv.values}
        names.update(name for name in self.process if name.startswith("LC_"))
        return {name: self.get(name) for name in sorted(names) if self.get(name)}


def read_dotenv(file: Path, *, strict: bool = True) -> Dotenv:
    """Reads `.env`; a missing one is empty. Raises SettingsError for a bad line, unless it may be left out.

    A `$` outside single quotes is refused: Compose would replace it, we would not.
    """
    found = Dotenv(file, {}, {}, _exposed(file))
    if not file.exists():
        return found
    for number, line in enumerate(read_text(file, "").split("\n"), 1):
        words = line.strip()
        if words and not words.startswith("#"):
            with contextlib.suppress(*() if strict else (SettingsError,)):
                _take(found, number, words)
    return found


def _exposed(file: Path) -> bool:
    try:
        return bool(file.stat().st_mode & 0o077)
    except OSError:
        return False


def _take(found: Dotenv, number: int, words: str) -> None:
    # The line itself is never repeated in a message: it may hold a secret.
    named = re.fullmatch(_NAME, words)
    if named is None or "\0" in words:
        raise SettingsError(found.file, number, "this line is not KEY=VALUE", _FORM)
    name = named[1]
    if name in found.values:
        problem = f"{name} stands here a second time (first in line {found.lines[name]})"
        raise SettingsError(found.file, number, problem, "Keep one of the two.")
    try:
        found.values[name] = _value(named[2])
    except ValueError as error:
        raise SettingsError(found.file, number, f"{name}: {error}", _FORM) from error
    found.lines[name] = number


def _value(words: str) -> str:
    if words.startswith("'"):
        return _inside(_SINGLE, words)
    if words.startswith('"'):
        inside = _inside(_DOUBLE, words)
        _refuse_dollar(re.sub(_ESCAPE, "", inside))
        return re.sub(_ESCAPE, _unescape, inside)
    plain = re.split(r"(?:^|\s)#", words, maxsplit=1)[0].rstrip()
    _refuse_dollar(plain)
    return plain


def _inside(form: str, words: str) -> str:
    quoted = re.fullmatch(form, words)
    if quoted is None:
        raise ValueError("a quote is not closed, or something follows it")
    return quoted[1]


def _unescape(match: re.Match[str]) -> str:
    try:
        return _ESCAPES[match[1]]
    except KeyError:
        raise ValueError('a backslash in double quotes stands before none of n r t " \\') from None


def _refuse_dollar(words: str) -> None:
    if "$" in words:
        raise ValueError("a $ needs single quotes, as Compose would replace it")


def config_file(config: Path | None, process: Mapping[str, str], root: Path) -> Path:
    """The yaml to read: the one given, else BATON_CONFIG, else baton.yaml in the repository."""
    named = config or process.get("BATON_CONFIG")
    return Path.cwd() / Path(named).expanduser() if named else root / "baton.yaml"


def var_folder(around: Surroundings, base: Path, root: Path) -> Path:
    """The state folder: BATON_VAR, or `var` in the repository. Not made here.

    A relative one is taken from the current folder, or from `.env`'s own when it stands there.
    """
    if around.dotenv.values.get("BATON_CONFIG"):
        remedy = "Set it in the environment, or remove it."
        raise around.dotenv.error("BATON_CONFIG", "BATON_CONFIG says where .env is", remedy)
    named = around.get("BATON_VAR")
    start = Path.cwd() if around.process.get("BATON_VAR") else base
    return Path(os.path.realpath(start / Path(named).expanduser() if named else root / "var"))


def run_folder(var: Path) -> Path:
    """The folder for unix sockets: `var/run`, or one in /tmp where that path would be too long."""
    inside = var / "run"
    if len(os.fsencode(inside)) + _LONGEST_SOCKET_NAME < _SOCKET_PATH_BYTES:
        return inside
    import hashlib  # a long path only

    digest = hashlib.sha256(os.fsencode(var)).hexdigest()[:12]
    return Path(f"/tmp/baton-{os.getuid()}-{digest}")  # noqa: S108 - make_private checks its owner


def workspaces_folder(around: Surroundings, var: Path, instance: str) -> Path:
    """Where the workspaces of tasks lie unless baton.yaml says otherwise: one folder for each state folder.

    Not in the state folder, which tools may not read, nor in /tmp, which a boot empties; and in no project's
    folder, whose settings and CLAUDE.md would be theirs too.
    """
    import binascii  # built in

    home = Path(around.get("HOME") or var.parent)
    name = f"{instance}-{binascii.crc32(os.fsencode(var)):08x}"
    return Path(os.path.realpath(home / ".baton" / "workspaces" / name))


def make_private(folder: Path) -> Path:
    """Makes a folder with mode 0700, or checks that it is ours alone. Raises SettingsError."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        facts = folder.lstat()
        if stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.getuid():
            folder.chmod(0o700)
            return folder
    except OSError as error:
        problem = f"the folder cannot be made ({error.strerror})"
        raise SettingsError(folder, None, problem, "Set BATON_VAR to one that can.") from error
    problem = "it is no folder of this user"
    raise SettingsError(folder, None, problem, "Remove it, or set BATON_VAR to a short path.")


def warnings(around: Surroundings, named: Iterable[str]) -> list[str]:
    """What looks odd in the environment and `.env`, one sentence each; nothing that stops us."""
    found = []
    dotenv = around.dotenv
    if dotenv.exposed:
        found.append(f"{place(dotenv.file, None)}: other users may read it. Run chmod 600 on it.")
    url = around.process.get("REDIS_URL")
    if url and dotenv.values.get("REDIS_URL", url) != url:
        where = place(dotenv.file, dotenv.lines["REDIS_URL"])
        found.append(f"{where}: REDIS_URL of the environment is used, not this one.")
    found += [
        f"env names {name}, which is set neither in {place(dotenv.file, None)} nor around it."
        for name in sorted(set(named))
        if not around.get(name)
    ]
    return found
