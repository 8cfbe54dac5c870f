"""The command line's grammar: verbs, help, exit statuses, and what a call loads."""

import argparse
import errno
import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.__main__ import main
from cli.errors import CliError
from cli.parser import NEWCOMER, parser
from cli.submit import options, split
from settings import ClaudeOptions
from tests.conftest import ROOT

VERBS = (
    *(
        "up",
        "down",
        "restart",
        "boot",
        "status",
        "doctor",
        "alerts",
        "login",
        "add",
        "list",
        "show",
        "logs",
        "costs",
        "why",
    ),
    *(
        "schedules",
        "cancel",
        "retry",
        "hold",
        "release",
        "prune",
        "run",
        "poll",
        "pause",
        "unpause",
    ),
    *("demo", "shell", "check", "test", "chaos"),
)


def subparsers() -> dict[str, argparse.ArgumentParser]:
    return choices("")


def choices(verb: str) -> dict[str, Any]:
    [action] = [a for a in parser(verb)._actions if a.dest == "verb"]
    found: Any = action.choices
    return dict(found)


def test_every_verb_is_listed_once_and_apps_is_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    listed = [
        line.split()[0]
        for line in capsys.readouterr().out.splitlines()
        if line[:4] == " " * 4 and line[4] != " "
    ]
    assert listed == list(VERBS)


@pytest.mark.parametrize("verb", [v for v in VERBS if v != "demo"])
def test_every_verb_leads_to_a_function(verb: str) -> None:
    module, _, name = subparsers()[verb].get_default("target").partition(":")
    assert callable(getattr(importlib.import_module(module), name))


def test_alone_it_teaches_the_five_verbs_of_a_newcomer(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    said = capsys.readouterr().out
    assert said.strip() == NEWCOMER
    for verb in ("demo", "up", "add", "status", "logs"):
        assert f"./baton {verb}" in said


@pytest.mark.parametrize(
    "words", [["nonsense"], ["show"], ["list", "--limit", "0"], ["list", "-x"]]
)
def test_what_is_not_understood_ends_with_2(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "usage: ./baton" in capsys.readouterr().err


def parsed(*words: str) -> dict[str, Any]:
    return options(parser("add").parse_args(["add", "hello", *words]))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], {}),
        (["--model", "opus"], {"model": "opus"}),
        (["--max-turns", "3"], {"max_turns": 3}),
        (["--max-runtime", "5m"], {"max_runtime": 300.0}),
        (
            ["--allowed-tools", "Read, Bash(git add, git rm)"],
            {"allowed_tools": ["Read", "Bash(git add, git rm)"]},
        ),
        (["--cwd", "/tmp"], {"cwd": "/tmp"}),
        (["--no-strict-mcp-config"], {"strict_mcp_config": False}),
        (["--json-schema", '{"type": "object"}'], {"json_schema": {"type": "object"}}),
        (["--verify", "grep -q 'a, b' out"], {"verify": ["grep", "-q", "a, b", "out"]}),
        (["--verify", '["make", "test"]'], {"verify": ["make", "test"]}),
        (["--verify", "/bin/check"], {"verify": ["/bin/check"]}),
    ],
)
def test_an_option_of_claude_is_spelled_as_claude_spells_it(
    words: list[str], expected: Any
) -> None:
    assert parsed(*words) == expected


def test_add_knows_every_option_of_an_entry() -> None:
    known = choices("add")["add"]._option_string_actions
    for name in ClaudeOptions.__struct_fields__:
        assert "--" + name.replace("_", "-") in known


def test_a_relative_folder_is_taken_from_where_the_user_stands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert parsed("--cwd", "sub") == {"cwd": str(tmp_path / "sub")}


def test_a_wrong_value_says_what_is_allowed() -> None:
    with pytest.raises(ValueError, match="dontAsk"):
        parsed("--permission-mode", "nobody")


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("", []),
        ("Read", ["Read"]),
        ("Read,Glob , Grep", ["Read", "Glob", "Grep"]),
        ("Bash(git *), Read", ["Bash(git *)", "Read"]),
        ("Bash(a, b", ["Bash(a", "b"]),
    ],
)
def test_a_list_is_split_at_commas_outside_of_brackets(word: str, parts: list[str]) -> None:
    assert split(word) == parts


def test_what_a_verb_cannot_do_is_one_message_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(target: str) -> Any:
        def verb(args: object) -> int:
            raise CliError("It is broken.", "Mend it.")

        return verb

    monkeypatch.setattr("cli.__main__._function", refuse)
    assert main(["status"]) == 1
    assert capsys.readouterr().err == "It is broken.\n  Mend it.\n"


def test_a_disk_on_which_nothing_can_be_written_is_one_message_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(args: argparse.Namespace) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", "/srv/var/claude-path")

    monkeypatch.setattr("cli.up.up", full)
    assert main(["up"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("/srv/var/claude-path: No space left on device.\n")
    assert "./baton doctor" in said


def test_a_mistake_of_ours_is_not_dressed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.__main__._function", lambda target: lambda args: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        main(["status"])


@pytest.mark.parametrize("verb", ["list", "show", "logs", "cancel", "add"])
def test_a_verb_of_the_queue_loads_neither_pm2_nor_a_producer(verb: str) -> None:
    module = subparsers()[verb].get_default("target").partition(":")[0]
    code = f"import sys, cli.__main__, {module}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = done.stdout.split()
    assert not {"cli.pm2", "producers", "consumers.attempt", "jinja2", "asyncio"} & set(loaded)
