"""The text of what starts an instance at boot: a systemd unit or a launchd job. Pure; written by cli/boot.py."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from cli.apps import KILL_TIMEOUT_MS

# After the stages one by one: the ladder of runs that lost their consumer, and the command line itself, s.
_BESIDE_S = 60
_HEAD = "# Made by ./baton boot install; ./baton boot remove takes it away. What you change here is lost.\n"
_MARK = "X-Baton-Var="


class Boot(NamedTuple):
    """What has to be known to start an instance at boot. `user` is empty for a unit of the user's own."""

    root: Path
    var: Path
    instance: str
    user: str
    env: dict[str, str]


def name_of(instance: str) -> str:
    """Return the name of the unit: `baton`, or `baton-NAME` for an instance with a name of its own."""
    return "baton" if instance == "baton" else f"baton-{instance}"


def stop_timeout_s() -> int:
    """How long a stop may take: each stage until PM2 kills it, and what `down` does beside that."""
    return sum(KILL_TIMEOUT_MS.values()) // 1000 + _BESIDE_S


def systemd(boot: Boot) -> str:
    """Return the unit.

    oneshot, since PM2's daemon is no main process: it may be older than the unit, and when it is killed the apps
    are to work on. ExecStart fails only when the configuration is wrong, because a failure ends all of it.
    """
    baton = _quoted(str(boot.root / "baton"))  # the first word of a command: a $ in it is a $
    system = bool(boot.user)
    lines = [
        "[Unit]",
        f"Description=Baton ({boot.instance}), a task queue for Claude",
        *(["Wants=network-online.target", "After=network-online.target"] if system else []),
        f"RequiresMountsFor={_quoted(str(boot.root))} {_quoted(str(boot.var))}" if system else "",
        f"{_MARK}{_specifiers(str(boot.var))}",
        "",
        "[Service]",
        "Type=oneshot",
        "RemainAfterExit=yes",
        f"User={boot.user}" if system else "",
        f"WorkingDirectory={_specifiers(str(boot.root))}",
        *(f"Environment={_quoted(f'{name}={value}')}" for name, value in sorted(boot.env.items())),
        "UMask=0077",
        f"ExecStart={baton} boot start",
        f"ExecReload={baton} restart",
        f"ExecStop={baton} down",
        "# what reads a large append-only file takes its time; a limit would end all that is up",
        "TimeoutStartSec=infinity",
        f"TimeoutStopSec={stop_timeout_s()}",
        "KillMode=control-group",
        "# a tool that eats all memory is killed alone, not everything with it",
        "OOMPolicy=continue",
        "",
        "[Install]",
        f"WantedBy={'multi-user' if system else 'default'}.target",
    ]
    kept = [line for before, line in zip(["", *lines], lines, strict=False) if line or before]
    return _HEAD + "\n".join(kept) + "\n"


def unfit(boot: Boot) -> str:
    """Return the folder that no unit of systemd can name, and why; "" when both can stand in one.

    systemd takes no program whose path holds a quote or a backslash, whatever is done about it (it calls the whole
    unit bad, at the next boot), cuts blanks off the end, and a line that ends within a path begins another setting.
    """
    if not str(boot.var).isprintable():
        return f"{str(boot.var)!r} holds a character that ends a line or cannot be seen"
    root = str(boot.root)
    if not root.isprintable() or set(root) & set("\"'\\") or root != root.rstrip():
        return f"{root!r} holds a quote, a backslash, a blank at its end or what cannot be seen"
    return ""


def launchd(boot: Boot) -> bytes:
    """Return the job for launchd, which has no command for a stop: a shutdown there is a kill, and loses nothing."""
    import plistlib

    logs = str(boot.var / "logs" / "boot.out")
    job: dict[str, object] = {
        "Label": name_of(boot.instance),
        "ProgramArguments": [str(boot.root / "baton"), "boot", "start"],
        "WorkingDirectory": str(boot.root),
        "EnvironmentVariables": dict(sorted(boot.env.items())),
        "RunAtLoad": True,
        # PM2's daemon stays when the command that started it has ended.
        "AbandonProcessGroup": True,
        "Umask": 0o077,
        "StandardOutPath": logs,
        "StandardErrorPath": logs,
    }
    if boot.user:
        job["UserName"] = boot.user
    return plistlib.dumps(job)


def belongs_to(text: bytes, boot: Boot) -> bool:
    """Whether a unit or job that is there was made for this instance."""
    if _MARK.encode() in text:
        return f"{_MARK}{_specifiers(str(boot.var))}\n".encode() in text
    import plistlib

    try:
        job = plistlib.loads(text)
        return bool(job["EnvironmentVariables"]["BATON_VAR"] == str(boot.var))
    except (ValueError, KeyError, TypeError, plistlib.InvalidFileException):
        return False


def _specifiers(text: str) -> str:
    return text.replace("%", "%%")


def _quoted(text: str) -> str:
    """One word of a unit, whatever is in it (systemd.syntax(7), "Quoting")."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{_specifiers(escaped)}"'
