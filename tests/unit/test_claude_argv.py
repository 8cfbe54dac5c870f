"""What claude is called with, what it may see, and where it is found."""

import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest

from consumers import claude
from consumers.processes import MARKER
from settings import CLI_OPTIONS, ClaudeOptions, Settings, load

SESSION = "00000000-0000-4000-8000-000000000001"
NOTHING = ClaudeOptions(strict_mcp_config=False, setting_sources=(), permission_mode="default")


def flags(**options: Any) -> list[str]:
    return claude.argv("/c", msgspec.structs.replace(NOTHING, **options), SESSION)[5:]


def test_the_fixed_part() -> None:
    assert claude.argv("/opt/claude", ClaudeOptions(), SESSION)[:5] == [
        "/opt/claude",
        "-p",
        "--output-format=stream-json",
        "--verbose",
        f"--session-id={SESSION}",
    ]


def test_a_resumed_session_is_named_instead() -> None:
    line = claude.argv("/c", ClaudeOptions(), SESSION, resume=True)
    assert f"--resume={SESSION}" in line
    assert not any("--session-id" in word for word in line)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, []),
        ({"model": "opus"}, ["--model=opus"]),
        ({"model": "--dangerously-skip-permissions"}, ["--model=--dangerously-skip-permissions"]),
        ({"append_system_prompt": "-p\nx"}, ["--append-system-prompt=-p\nx"]),
        ({"max_turns": 3, "max_budget_usd": 0.5}, ["--max-turns=3", "--max-budget-usd=0.5"]),
        (
            {"allowed_tools": ("Read", "Bash(git log --format=%h,%s)")},
            ["--allowed-tools=Read", "--allowed-tools=Bash(git log --format=%h,%s)"],
        ),
        ({"tools": ("",)}, ["--tools="]),
        ({"setting_sources": ("user", "project")}, ["--setting-sources=user,project"]),
        ({"setting_sources": ("",)}, ["--setting-sources="]),
        ({"json_schema": {"type": "object"}}, ['--json-schema={"type": "object"}']),
        ({"strict_mcp_config": True, "bare": True}, ["--strict-mcp-config", "--bare"]),
        ({"add_dir": ("/a b", "/-c")}, ["--add-dir=/a b", "--add-dir=/-c"]),
        ({"env": ("KEY",), "cwd": "/x", "retries": 9, "result": "r"}, []),
    ],
)
def test_each_option_is_spelled_as_the_cli_does(options: Any, expected: list[str]) -> None:
    assert [flag for flag in flags(**options) if flag != "--permission-mode=default"] == expected


def test_every_option_of_the_cli_is_passed_on() -> None:
    for name in CLI_OPTIONS:
        kind = ClaudeOptions.__annotations__[name]
        value: Any = True if kind is bool else ("user",) if "Texts" in str(kind) else "plan"
        if name in ("agents", "json_schema"):
            value = {"a": 1}
        if name in ("tools", "setting_sources"):
            value = ("user",)
        line = flags(**{name: value})
        assert any(word.startswith("--" + name.replace("_", "-")) for word in line), name


def test_no_value_becomes_a_word_of_its_own() -> None:
    values = dict.fromkeys(("model", "system_prompt", "agent", "settings"), "--evil")
    lists: dict[str, Any] = dict.fromkeys(("allowed_tools", "add_dir", "file"), ("--evil", "-x"))
    for word in flags(**values, **lists):
        assert word.startswith("--")
        assert word != "--evil"


def test_a_denied_path_is_kept_from_reading_and_writing() -> None:
    line = claude.argv(
        "/c", NOTHING, SESSION, denied_paths=[Path("/srv/b/.env"), Path("/srv/b/var")]
    )
    assert line[-4:] == [
        "--disallowed-tools=Read(//srv/b/.env)",
        "--disallowed-tools=Edit(//srv/b/.env)",
        "--disallowed-tools=Read(//srv/b/var)",
        "--disallowed-tools=Edit(//srv/b/var)",
    ]


def test_a_denied_path_with_signs_of_the_rules_language_stays_denied() -> None:
    line = claude.argv("/c", NOTHING, SESSION, denied_paths=[Path("/a b(c), [d]*!/é/.env")])
    assert line[-2] == "--disallowed-tools=Read(//a?b?c????d???/é/.env)"


def test_the_environment_is_an_allow_list() -> None:
    base = {
        "HOME": "/h", "PATH": "/bin", "LANG": "C", "LC_ALL": "C", "TZ": "UTC", "USER": "u",
        "ANTHROPIC_API_KEY": "k", "CLAUDECODE": "1", "CLAUDE_CODE_ENTRYPOINT": "cli",
        "PM2_HOME": "/p", "NODE_CHANNEL_FD": "3", "REDIS_URL": "r", "GITHUB_TOKEN": "g",
    }  # fmt: skip
    assert claude.environment(base, ["GITHUB_TOKEN", "ABSENT"], "/t", "task/1") == {
        "HOME": "/h", "PATH": "/bin", "LANG": "C", "LC_ALL": "C", "TZ": "UTC", "USER": "u",
        "GITHUB_TOKEN": "g", "DISABLE_AUTOUPDATER": "1", "TMPDIR": "/t", MARKER: "task/1",
    }  # fmt: skip


def test_a_named_variable_cannot_replace_batons_own() -> None:
    seen = claude.environment({"TMPDIR": "/x", MARKER: "x"}, ["TMPDIR", MARKER], "/t", "task/1")
    assert (seen["TMPDIR"], seen[MARKER]) == ("/t", "task/1")


def test_an_api_key_is_passed_only_when_it_is_named() -> None:
    base = {"ANTHROPIC_API_KEY": "k"}
    assert "ANTHROPIC_API_KEY" not in claude.environment(base, [], "/t", "m")
    assert claude.environment(base, ["ANTHROPIC_API_KEY"], "/t", "m")["ANTHROPIC_API_KEY"] == "k"


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, "none"),
        ({"ANTHROPIC_API_KEY": ""}, "none"),
        ({"ANTHROPIC_API_KEY": "k", "CLAUDE_CODE_OAUTH_TOKEN": "t"}, "api_key"),
        ({"ANTHROPIC_AUTH_TOKEN": "k"}, "auth_token"),
        ({"CLAUDE_CODE_OAUTH_TOKEN": "t"}, "oauth_token"),
        ({"CLAUDE_CODE_USE_BEDROCK": "1", "ANTHROPIC_API_KEY": "k"}, "bedrock"),
        ({"CLAUDE_CODE_USE_VERTEX": "0"}, "none"),
    ],
)
def test_the_credential_that_is_billed(env: dict[str, str], expected: str, tmp_path: Path) -> None:
    assert claude.credential(env, tmp_path) == expected


def test_a_login_is_found_where_claude_keeps_it(tmp_path: Path) -> None:
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".claude" / ".credentials.json").write_text("{}")
    assert claude.credential({}, tmp_path) == "login"
    elsewhere = {"CLAUDE_CONFIG_DIR": str(tmp_path / ".claude")}
    assert claude.credential(elsewhere, Path("/nonexistent")) == "login"


def test_the_session_follows_from_task_and_attempt() -> None:
    first, second = claude.session_id("t", 1), claude.session_id("t", 2)
    assert first == claude.session_id("t", 1)
    assert first != second
    assert str(uuid.UUID(first)) == first


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "baton.yaml").write_text("redis: embedded\n")
    environ = {"HOME": str(tmp_path), "PATH": f"{tmp_path}/.bin:{tmp_path}/bin"}
    loaded = load(tmp_path / "baton.yaml", environ)
    return msgspec.structs.replace(loaded, root=tmp_path, base=tmp_path, var=tmp_path / "var")


def bundled(root: Path, suffix: str = "") -> Path:
    names = ("linux-x64", "linux-arm64", "darwin-x64", "darwin-arm64")
    for name in names:
        program(root / f"node_modules/@anthropic-ai/claude-code-{name}{suffix}/claude")
    return root / "node_modules" / "@anthropic-ai"


def test_claude_is_looked_up_in_the_documented_order(settings: Settings, tmp_path: Path) -> None:
    stub = program(tmp_path / ".bin" / "claude")
    assert isinstance(claude.locate(settings), claude.Missing)
    packages = bundled(tmp_path)
    found = claude.locate(settings)
    assert isinstance(found, claude.Found)
    assert (found.path.parent.parent, found.source) == (packages, "node_modules")
    on_path = program(tmp_path / "bin" / "claude")
    assert claude.locate(settings) == claude.Found(on_path, "PATH")
    named = msgspec.structs.replace(settings, claude_command=".bin/claude")
    assert claude.locate(named) == claude.Found(stub, "baton.yaml")


def test_what_npm_leaves_where_it_may_not_install_is_no_claude(
    settings: Settings, tmp_path: Path
) -> None:
    stub = program(tmp_path / "bin" / "claude")
    stub.write_text("echo 'Error: the native binary is not installed.'\n")
    assert isinstance(claude.locate(settings), claude.Missing)
    missing = claude.locate(msgspec.structs.replace(settings, claude_command="bin/claude"))
    assert isinstance(missing, claude.Missing)
    assert "is no program" in missing.remedy
    stub.write_bytes(b"\x7fELF and so on")
    assert claude.locate(settings) == claude.Found(stub, "PATH")


def test_the_musl_build_is_found_too(settings: Settings, tmp_path: Path) -> None:
    bundled(tmp_path, "-musl")
    found = claude.locate(settings)
    assert isinstance(found, claude.Found)
    assert found.path.parent.name.endswith("-musl")


def test_a_configured_command_that_is_missing_is_not_replaced(
    settings: Settings, tmp_path: Path
) -> None:
    program(tmp_path / "bin" / "claude")
    for command in ("nowhere/claude", "claude2", "~/none", "/"):
        named = msgspec.structs.replace(settings, claude_command=command)
        missing = claude.locate(named)
        assert isinstance(missing, claude.Missing)
        assert command in missing.remedy
    named = msgspec.structs.replace(settings, claude_command="claude")
    assert claude.locate(named) == claude.Found(tmp_path / "bin" / "claude", "baton.yaml")


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (
            """echo '{"loggedIn": true, "authMethod": "api_key"}'""",
            claude.LoginState(True, "api_key"),
        ),
        ("""echo '{"loggedIn": false}'; exit 1""", claude.LoginState(False, "")),
        ("echo nonsense", claude.LoginState(None)),
        ("exit 1", claude.LoginState(None)),
    ],
)
def test_the_login_state_is_what_the_cli_says(
    script: str, expected: claude.LoginState, tmp_path: Path
) -> None:
    path = program(tmp_path / "claude")
    path.write_text(f"#!/bin/sh\n{script}\n")
    assert claude.login_state(str(path), {}) == expected
    assert claude.login_state(str(tmp_path / "none"), {}) == claude.LoginState(None)
