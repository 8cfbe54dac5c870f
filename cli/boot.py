"""`./baton boot install | remove | status`: a unit of systemd or a job of launchd that starts this instance."""

from __future__ import annotations

import argparse
import os
import pwd
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cli import unit
from cli.apps import PASSED_ON
from cli.errors import CliError
from cli.pm2 import Pm2
from cli.terminal import print_json, printable

if TYPE_CHECKING:
    from settings import Settings

#: There while systemd runs (sd_booted(3)).
BOOTED = Path("/run/systemd/system")
_LINGER = Path("/var/lib/systemd/linger")


class Target(NamedTuple):
    """Where the unit belongs, what it says, and the commands that make the system take note of it."""

    kind: str  # systemd, systemd --user, launchd
    file: Path
    text: bytes
    enable: tuple[tuple[str, ...], ...]
    disable: tuple[tuple[str, ...], ...]
    boot: unit.Boot


def boot(args: argparse.Namespace) -> int:
    """Do what the second word says."""
    if args.what == "start":
        from cli.up import start_all

        return start_all()
    from settings import load

    settings = load()
    found = target(settings, Path(args.into) if args.into else None)
    if args.what == "status":
        return _status(found, as_json=args.json)
    return _install(found, by_hand=bool(args.into)) if args.what == "install" else _remove(found)


def target(settings: Settings, into: Path | None = None) -> Target:
    """Return what boots this instance here. Raises CliError where another user's folder is in the way."""
    owner, me = _owner(settings), os.getuid()
    if me not in (0, owner.pw_uid):
        raise CliError(
            f"{settings.var} belongs to {owner.pw_name}.", "Run this as that user, or as root."
        )
    system = me == 0
    about = unit.Boot(
        settings.root,
        settings.var,
        settings.instance,
        owner.pw_name if system else "",
        _environment(settings, owner),
    )
    if sys.platform == "darwin":
        return _launchd(about, system, into)
    return _systemd(about, system, into)


def _owner(settings: Settings) -> pwd.struct_passwd:
    folder = settings.var if settings.var.exists() else settings.root
    return _user(folder.stat().st_uid)


def _user(uid: int) -> pwd.struct_passwd:
    """A user as the system knows it; a container may run under a number without a name."""
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        home = os.environ.get("HOME", "/")
        return pwd.struct_passwd((str(uid), "x", uid, uid, "", home, "/bin/sh"))


def _environment(settings: Settings, owner: pwd.struct_passwd) -> dict[str, str]:
    """What `./baton` needs to find the same instance, with the same tools on its PATH."""
    own = owner.pw_uid == os.getuid()
    home = os.environ.get("HOME", owner.pw_dir) if own else owner.pw_dir
    pm2_home = os.environ.get("PM2_HOME") if own else None
    named = (*PASSED_ON, "BATON_PYTHON") if own else ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ")
    env = {name: os.environ[name] for name in named if os.environ.get(name)}
    for name in ("USER", "LOGNAME", "SHELL", "BATON_FAULT"):  # the first three are systemd's to set
        env.pop(name, None)
    env |= {"HOME": home, "BATON_CONFIG": str(settings.config), "BATON_VAR": str(settings.var)}
    return env | {"PM2_HOME": str(Path(pm2_home or Path(home) / ".pm2").absolute())}


def _systemd(about: unit.Boot, system: bool, into: Path | None) -> Target:
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path(about.env["HOME"]) / ".config")
    usual = Path("/etc/systemd/system") if system else config / "systemd" / "user"
    name = f"{unit.name_of(about.instance)}.service"
    call = ("systemctl",) if system else ("systemctl", "--user")
    reload_ = (*call, "daemon-reload")
    return Target(
        "systemd" if system else "systemd --user",
        (into or usual) / name,
        unit.systemd(about).encode(),
        (reload_, (*call, "enable", name)),
        ((*call, "disable", name), reload_),
        about,
    )


def _launchd(about: unit.Boot, system: bool, into: Path | None) -> Target:
    home = Path("/") if system else Path(about.env["HOME"])
    usual = home / "Library" / ("LaunchDaemons" if system else "LaunchAgents")
    label = unit.name_of(about.instance)
    domain = "system" if system else f"gui/{os.getuid()}"
    file = (into or usual) / f"{label}.plist"
    return Target(
        "launchd",
        file,
        unit.launchd(about),
        (("launchctl", "bootstrap", domain, str(file)),),
        (("launchctl", "bootout", f"{domain}/{label}"),),
        about,
    )


def _install(found: Target, *, by_hand: bool) -> int:
    """Write the unit and enable it; where no systemd runs, leave it in the state folder and say what to do."""
    if found.kind != "launchd" and (why := unit.unfit(found.boot)):
        raise CliError(f"No unit of systemd can name this folder: {why}.", "Rename it.")
    if found.kind != "launchd" and not by_hand and not BOOTED.is_dir():
        left = _left_by_hand(found)
        _write(left, found.text, 0o600)
        print(_no_systemd(found, left), file=sys.stderr)
        return 1
    _refuse_foreign(found)
    _write(found.file, found.text)
    print(f"Wrote {found.file}.")
    if by_hand:
        print("Where it belongs, run:", *map(" ".join, found.enable), sep="\n    ")
        return 0
    for command in found.enable:
        _run(command)
    for words in (*_shared_pm2(found), *_lingering(found)):
        print(words)
    print("Everything starts at the next boot. What runs now is left alone.")
    return 0


def _left_by_hand(found: Target) -> Path:
    """Where a unit is left that nothing here can run."""
    return found.boot.var / found.file.name


def _remove(found: Target) -> int:
    _left_by_hand(found).unlink(missing_ok=True)
    if not found.file.exists():
        print(f"There is no {found.file}.")
        return 0
    _refuse_foreign(found)
    if found.kind == "launchd" or BOOTED.is_dir():
        for command in found.disable[:1]:
            _run(command)
    found.file.unlink()
    print(f"Removed {found.file}. What runs now is left alone.")
    if BOOTED.is_dir():
        for command in found.disable[1:]:
            _run(command)
    return 0


def _status(found: Target, *, as_json: bool) -> int:
    facts = facts_of(found)
    if as_json:
        print_json(facts)
    else:
        print(sentence(facts))
    return 0


def facts_of(found: Target) -> dict[str, Any]:
    """Return whether the instance starts at boot; `current` is whether `install` would write the same."""
    there = found.file.read_bytes() if found.file.exists() else None
    running = found.kind == "launchd" or BOOTED.is_dir()
    ours = there is not None and unit.belongs_to(there, found.boot)
    return {
        "kind": found.kind,
        "file": str(found.file),
        "available": running,
        "installed": ours,
        "foreign": there is not None and not ours,
        "current": there == found.text,
        "enabled": _enabled(found) if ours and running else None,
        "lingers": _lingers() if found.kind == "systemd --user" else None,
    }


def sentence(facts: dict[str, Any]) -> str:
    """Return in words whether the instance starts at boot, and what to do."""
    file = facts["file"]
    if facts["foreign"]:
        return (
            f"{file} is not of this instance. Give it a name of its own: `instance:` in baton.yaml."
        )
    if not facts["installed"]:
        if not facts["available"]:
            return (
                "This instance does not start at boot: systemd does not run here.\n"
                "    → let whatever starts at boot here call ./baton boot start in this folder, as its user"
            )
        return "This instance does not start at boot.\n    → ./baton boot install"
    if not facts["current"]:
        return f"{file} is there, but not as it would be written now.\n    → ./baton boot install"
    if facts["enabled"] is False:
        return f"{file} is there, but not enabled.\n    → ./baton boot install"
    if facts["lingers"] is False:
        return f"{file} starts it when you log in.\n    → {_linger_command()} lets it start at boot"
    return f"{file} starts this instance at boot."


def _refuse_foreign(found: Target) -> None:
    if found.file.exists() and not unit.belongs_to(found.file.read_bytes(), found.boot):
        raise CliError(
            f"{found.file} is there and was not made for this instance.",
            "Give this instance a name of its own (`instance:` in baton.yaml), or remove that file.",
        )


def _write(file: Path, text: bytes, mode: int = 0o644) -> None:
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        draft.chmod(mode)
        draft.replace(file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise CliError(
            f"{file} cannot be written: {error.strerror}.", "As root: sudo ./baton boot install"
        ) from error


def _run(command: Sequence[str]) -> None:
    """Run a command, said before. Raises CliError with what it said."""
    print("$", *command, flush=True)
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise CliError(
            f"{command[0]} cannot be run: {error.strerror}.", "Run it by hand."
        ) from error
    if done.returncode:
        said = printable((done.stderr or done.stdout).strip(), keep="\n")
        raise CliError(f"It failed: {said}", f"Run it by hand: {' '.join(command)}")


def _no_systemd(found: Target, left: Path) -> str:
    lines = [
        "systemd does not run here, so nothing starts this instance at boot.",
        f"The unit is in {left}. Where systemd runs: copy it to {found.file}, then",
        *(f"    {' '.join(command)}" for command in found.enable),
        f"Anything else that runs at boot can call {found.boot.root / 'baton'} boot start, as the user of the folder.",
    ]
    return "\n".join(lines)


def _shared_pm2(found: Target) -> list[str]:
    """A stop of the unit ends the daemon that it started, with everything in it."""
    pm2 = Pm2(found.boot.root, os.environ | found.boot.env)
    try:
        apps = [one for one in pm2.processes() if one.env.get("BATON_VAR") != str(found.boot.var)]
    except CliError:
        return []
    if not apps:
        return []
    return [
        f"Note: this PM2 ({pm2.home}) runs {apps[0].name} as well, which a stop of the unit may end with it. "
        "Set PM2_HOME to a folder of Baton's own to keep them apart."
    ]


def _enabled(found: Target) -> bool | None:
    if found.kind == "launchd":
        return None
    call = found.enable[0][:-1]
    command = [*call, "is-enabled", "--quiet", found.file.name]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return None


def _lingers() -> bool:
    return (_LINGER / _user(os.getuid()).pw_name).exists()


def _linger_command() -> str:
    return f"loginctl enable-linger {_user(os.getuid()).pw_name}"


def _lingering(found: Target) -> list[str]:
    if found.kind != "systemd --user" or _lingers():
        return []
    return [f"A user's units start at boot only after: {_linger_command()}"]
