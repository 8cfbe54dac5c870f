"""Which lines of `allowed_tools` let a denied call through, in the syntax of the CLI's rules. Pure.

The CLI takes a command apart and wants a rule for each part, and asks about redirections, changes of folder and
whatever it cannot foresee although a rule fits. What is given here was tried with the real one.
"""

from __future__ import annotations

import re
from typing import Any

#: The rule that allows every command: the only sure one for a command that is not plain.
ANY_COMMAND = "Bash"
MOST_PARTS = 5
LONGEST_RULE = 120

#: What the CLI looks away from: it changes no file.
_HARMLESS = re.compile(r"\s*(2>&1|[12&]?>\s?/dev/null)(?=\s|[;|&]|$)")
_QUOTED = re.compile(r"'[^']*'|\"[^\"$`\\]*\"")
_PLAIN = re.compile(r"[\w\s./:@%+=,^-]*")
_APART = re.compile(r"&&|\|\||[;|\n]")
#: In quotes, these are parts of a rule's own syntax, or taken for the shell's: only a rule with `*` fits.
_UNCLEAR = re.compile(r"[()\[\]{}*?\\\n]")
#: The CLI judges these by the files that they name: it takes what is unclear in them for a pattern, and wants
#: to be asked about a file that is outside the task's folder.
_OF_FILES = {
    *(
        "cat",
        "chmod",
        "chown",
        "cmp",
        "comm",
        "cp",
        "cut",
        "diff",
        "file",
        "find",
        "grep",
        "head",
        "ln",
        "ls",
    ),
    *(
        "mkdir",
        "mv",
        "rg",
        "rm",
        "rmdir",
        "sed",
        "sort",
        "stat",
        "tail",
        "tee",
        "touch",
        "uniq",
        "wc",
    ),
}
_ELSEWHERE = re.compile(r"[\s='\"](/|(\S*/)?\.\.)")
#: Words of the shell, whose parts do not stand for themselves, and changes of folder.
_OF_THE_SHELL = {
    *("if", "then", "elif", "else", "fi", "for", "while", "until", "do", "done", "case", "esac"),
    *("select", "function", "time", "coproc", "cd", "pushd", "popd"),
}


def rules(denial: dict[str, Any]) -> list[str]:
    """The narrowest rules that surely fit the call; a bare name allows all of the tool."""
    name, given = str(denial.get("tool_name")), denial.get("tool_input")
    command = given.get("command") if isinstance(given, dict) else None
    if name != "Bash" or not isinstance(command, str):
        return [name]
    found = [_rule(part) for part in _parts(command)]
    if not found or ANY_COMMAND in found or len(found) > MOST_PARTS:
        return [ANY_COMMAND]
    return found


def _parts(command: str) -> list[str]:
    """The commands of a compound one, each as it stands; none where it is not plain."""
    quoted = _QUOTED.findall(command)
    bare = _HARMLESS.sub("", _QUOTED.sub("\0", command.replace("\0", "?")))
    apart = [part.strip() for part in _APART.split(bare) if part.strip()]
    if not all(_PLAIN.fullmatch(part.replace("\0", "")) for part in apart):
        return []
    rest = iter(quoted)
    return [re.sub("\0", lambda _: next(rest), part) for part in apart]


def _rule(part: str) -> str:
    program, names_files = (
        part.split()[0],
        not _OF_FILES.isdisjoint(part.split()),
    )  # also `timeout 5 rm x`
    if names_files and _ELSEWHERE.search(part):
        return ANY_COMMAND
    if program in _OF_THE_SHELL or not re.fullmatch(r"[\w./+=-]+", program):
        return ANY_COMMAND
    if len(part) <= LONGEST_RULE and not _UNCLEAR.search(part):
        return f"Bash({part})"
    if "=" in program or names_files:
        return ANY_COMMAND
    return f"Bash({program} *)"
