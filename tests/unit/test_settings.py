"""What baton.yaml, `.env` and the environment become, and what is said about each mistake."""

import contextlib
import json
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import settings
from settings import ClaudeOptions, ConsumerGroup, Duration, Feed, Settings, SettingsError

EXAMPLE = settings.ROOT / "baton.example.yaml"
INBOX = "watchers:\n  inbox:\n    path: Inbox\n    prompt: Read it.\n"
Load = Callable[..., Settings]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads a baton.yaml of this text, with a `.env` (private) and an environment."""

    def loaded(text: str, dotenv: str = "", environ: Mapping[str, str] | None = None) -> Settings:
        (tmp_path / "baton.yaml").write_text(text)
        if dotenv:
            (tmp_path / ".env").write_text(dotenv)
            (tmp_path / ".env").chmod(0o600)
        return settings.load(tmp_path / "baton.yaml", environ or {})

    return loaded


# --- what is read -------------------------------------------------------------------------------


def test_an_empty_file_is_a_whole_configuration(load: Load, tmp_path: Path) -> None:
    found = load("# nothing yet\n")
    assert found.instance == "baton"
    assert found.consumers == (ConsumerGroup(("default", f"host:{found.host}"), 2),)
    assert found.claude == settings.overlay(ClaudeOptions(), {"cwd": str(tmp_path)})
    assert (found.redis.mode, found.redis.url) == ("embedded", f"unix://{found.run_dir}/redis.sock")
    assert (found.watchers, found.pollers, found.schedules, found.tasks) == ({}, {}, {}, ())
    assert found.var == settings.ROOT / "var"
    assert found.warnings == ()


def test_a_section_with_all_its_lines_commented_out_is_empty(load: Load) -> None:
    found = load("claude:\n  # model: x\nwatchers:\npollers:\nschedules:\ntasks:\nredis:\n")
    assert found.watchers == {}
    assert found.claude.model is None


def test_a_list_with_all_its_items_commented_out_allows_nothing(load: Load) -> None:
    text = "claude:\n  allowed_tools: [Bash]\n" + INBOX + "    allowed_tools:\n    # - Read\n"
    assert load(text).watchers["inbox"].options["allowed_tools"] == []


@pytest.mark.parametrize(
    ("text", "size", "shown"),
    [
        ("500MB", 500_000_000, "500MB"),
        ("5 gb", 5_000_000_000, "5GB"),
        ("1.5GiB", 1_610_612_736, "1.611GB"),
        ("2TB", 2_000_000_000_000, "2TB"),
        ("1000000", 1_000_000, "1MB"),
    ],
)
def test_a_size_is_written_as_people_write_it(load: Load, text: str, size: int, shown: str) -> None:
    found = load(f"attempts_max_size: {text}\n").attempts_max_size
    assert (found, str(found)) == (size, shown)


@pytest.mark.parametrize("text", ["5", "-5GB", "5 G B", "lots", "true", "5d", "[5GB]", "1e3GB"])
def test_what_is_no_size_is_refused_with_what_is(load: Load, text: str) -> None:
    with pytest.raises(SettingsError, match=r"500MB, 5GB or 1\.5GiB"):
        load(f"attempts_max_size: {text}\n")


def test_relative_paths_start_at_the_yaml(load: Load, tmp_path: Path) -> None:
    found = load(
        INBOX
        + "    done: kept/Done\n    failed: ~/Failed\n    cwd: repo\n    add_dir: [~/x]\n"
        + "pollers:\n  p: {every: 5m, command: ./fetch --to=./x, prompt: x}\n"
        + "claude: {command: bin/claude}\n"
    )
    inbox = found.watchers["inbox"]
    assert inbox.path == tmp_path.resolve() / "Inbox"
    assert inbox.done == tmp_path.resolve() / "kept/Done"
    assert inbox.failed == (Path.home() / "Failed").resolve()
    assert inbox.options == {"cwd": f"{tmp_path}/repo", "add_dir": [str(Path.home() / "x")]}
    assert found.pollers["p"].command == (f"{tmp_path}/fetch", "--to=./x")
    assert found.claude_command == f"{tmp_path}/bin/claude"


def test_done_and_failed_stand_beside_the_watched_folder_unless_named(load: Load) -> None:
    inbox = load(INBOX).watchers["inbox"]
    assert (inbox.done, inbox.failed) == (inbox.path.parent / "Done", inbox.path.parent / "Failed")
    assert load(INBOX + "    done: delete\n").watchers["inbox"].done == "delete"


def test_a_command_is_a_line_or_a_list_of_words(load: Load) -> None:
    text = "pollers:\n  a: {every: 5m, prompt: x, command: \"gh 'a b' c\"}\n"
    text += "  b: {every: 30, prompt: x, command: [gh, a b, c], first: 3}\n"
    found = load(text).pollers
    assert found["a"].command == found["b"].command == ("gh", "a b", "c")
    assert (found["a"].every, found["b"].every, found["b"].first) == (300.0, 30.0, 3)


def test_consumers_are_a_number_or_groups(load: Load) -> None:
    text = "host: hut\nconsumers:\n- {queues: [fast, default], count: 2}\n- {queues: slow}\n"
    found, usual = load(text), ("fast", "default", "host:hut")
    assert found.consumers == (ConsumerGroup(usual, 2), ConsumerGroup(("slow",), 1))
    assert [found.group_of(n).queues[0] for n in (1, 2, 3)] == ["fast", "fast", "slow"]
    with pytest.raises(KeyError):
        found.group_of(4)


def test_words_of_yaml_1_1_stay_words(load: Load) -> None:
    text = "claude: {model: no, append_system_prompt: 1:30}\nschedules:\n"
    text += "  on: {cron: 0 9 * * 1, prompt: yes}\n"
    found = load(text)
    assert (found.claude.model, found.claude.append_system_prompt) == ("no", "1:30")
    assert found.schedules["on"].prompt == "yes"


def test_an_alias_repeats_a_value(load: Load) -> None:
    assert load("claude:\n  tools: &t [Read]\n  allowed_tools: *t\n").claude.allowed_tools == (
        "Read",
    )


def test_an_entry_holds_the_claude_options_written_in_it_and_no_others(load: Load) -> None:
    text = INBOX + "    max_runtime: 2h\n    tools: Read\n    json_schema: {type: object}\n"
    text += "    mcp_config: [mcp.json, {mcpServers: {}}]\n    settings: {a: 1}\n    result: R.md\n"
    inbox = load("claude: {model: a}\n" + text).watchers["inbox"]
    assert inbox.result == "R.md"
    assert inbox.options == {
        "max_runtime": 7200.0,
        "tools": ["Read"],
        "json_schema": {"type": "object"},
        "mcp_config": [str(inbox.path.parent / "mcp.json"), '{"mcpServers":{}}'],
        "settings": '{"a":1}',
        "result": "R.md",
    }
    assert json.loads(json.dumps(inbox.options)) == inbox.options


def test_a_check_is_a_line_or_words_and_a_path_is_found_from_the_file(load: Load) -> None:
    inbox = load(INBOX + "    verify: ./checks/it 'two words' --fast\n").watchers["inbox"]
    program = str(inbox.path.parent / "checks" / "it")
    assert inbox.options == {"verify": [program, "two words", "--fast"]}
    found = load("claude: {verify: [make, test], verify_timeout: 90s}\n").claude
    assert (found.verify, found.verify_timeout) == (("make", "test"), 90.0)
    assert settings.overlay(found, {"verify": "sh -c 'exit 0'"}).verify == ("sh", "-c", "exit 0")
    assert settings.overlay(found, {"verify": []}).verify == ()
    with pytest.raises(ValueError, match="every quote closed"):
        settings.overlay(found, {"verify": "sh -c 'exit"})


def test_workspaces_lie_in_a_folder_of_each_installation_s_own(load: Load) -> None:
    usual = load("", "", {"HOME": "/home/u", "BATON_VAR": "/srv/v"}).workspaces
    assert usual.parent == Path("/home/u/.baton/workspaces")
    assert usual != load("", "", {"HOME": "/home/u", "BATON_VAR": "/srv/w"}).workspaces
    assert load("workspaces: w\n").workspaces == load("").base / "w"


@pytest.mark.parametrize("where", [".", "..", "/srv/v", "/srv/v/run", "/srv"])
def test_workspaces_hold_nothing_else_and_lie_where_tools_may_read(load: Load, where: str) -> None:
    with pytest.raises(SettingsError, match="folder of its own"):
        load(f"workspaces: {where}\n", "", {"BATON_VAR": "/srv/v"})


def test_an_empty_list_of_tools_or_sources_means_none_and_not_the_default(load: Load) -> None:
    claude = load("claude: {tools: [], setting_sources: []}\n").claude
    assert (claude.tools, claude.setting_sources) == (("",), ("",))


def test_the_example_is_well_and_says_the_defaults(load: Load) -> None:
    text = EXAMPLE.read_text()
    assert list(load(text).watchers) == ["inbox"]
    uncommented = re.sub(r"(?m)^( *)# ?( *(?:- )?[a-z_{-]+: ?.*|  - \{.*)$", r"\1\2", text)
    once = uncommented.replace("consumers: 2\n", "", 1).replace("    task: summarise", "    # ", 1)
    found = load(once.replace("queues: [slow]", "queues: [slow, default]"))
    inbox, issues = found.watchers["inbox"], found.pollers["issues"]
    briefing = found.schedules["monday-briefing"]
    assert len(found.consumers) == 2
    assert found.tasks == ("my_tasks",)
    plain = ClaudeOptions()
    limits = ("max_runtime", "max_silence", "max_tool_runtime")
    for name in (*limits, "retries", "on_crash", "on_denied"):
        assert getattr(found.claude, name) == getattr(plain, name), name
    assert found.claude.setting_sources == plain.setting_sources
    assert found.claude.model == "sonnet"  # the examples were uncommented too
    for entry, defaults in (
        (inbox, {"settle": 2.0, "recursive": False, "priority": 0, "shared": False}),
        (issues, {"timeout": 60.0, "first": "all"}),
        (briefing, {"catch_up": "latest", "overlap": "skip"}),
    ):
        assert {name: getattr(entry, name) for name in defaults} == defaults


def test_web_sources_are_read_with_the_variables_that_they_send(load: Load) -> None:
    text = """
pollers:
  issues:
    every: 5m
    http:
      url: https://api.example.com/issues
      headers: {X-Key: "k-${KEY}", X-Version: 3}
      query: {token: "${QUERY_TOKEN}"}
      basic: [API_USER, API_PASSWORD]
      items: data[?open]
      next: meta.cursor
      next_query: after
    prompt: x
  search: {every: 1h, http: {url: "http://x/", json: {q: y}, bearer: TOKEN}, prompt: x}
  news: {every: 1h, feed: "https://example.com/feed.xml", prompt: x}
  other: {every: 1h, feed: {url: "https://example.com/feed.xml", headers: {A: b}}, prompt: x}
"""
    sent = {"KEY", "QUERY_TOKEN", "API_USER", "API_PASSWORD", "TOKEN"}
    found = load(text, environ=dict.fromkeys([*sent, "NO"], "x"))
    issues, search = found.pollers["issues"].http, found.pollers["search"].http
    assert issues
    assert search
    assert issues.headers == {"X-Key": "k-${KEY}", "X-Version": "3"}
    assert (issues.basic, issues.id, issues.method) == (("API_USER", "API_PASSWORD"), "id", "GET")
    assert (search.method, search.json) == ("POST", {"q": "y"})
    assert found.pollers["news"].feed == Feed(url="https://example.com/feed.xml")
    assert sent <= set(found.environ)
    assert "NO" not in found.environ
    assert not sent & set(found.claude.env), "that a poller sends them is no reason to tell Claude"


# --- what is refused ----------------------------------------------------------------------------

WEB = "pollers:\n  p:\n    every: 5m\n    http:\n      url: https://h/x\n    prompt: x\n"
POLLER = "pollers:\n  p:\n    every: 5m\n    command: x\n    prompt: x\n"
SCHEDULE = 'schedules:\n  s:\n    cron: "0 9 * * 1"\n    prompt: x\n'


def http(more: str) -> str:
    """The poller with one more line in its `http:`, which is line 6."""
    return WEB.replace("/x\n", f"/x\n      {more}\n")


MISTAKES = {
    "unknown key": ("redis: embedded\nwatcher:\n", 2, "unknown key watcher", "mean watchers?"),
    "unknown key, all allowed": ("foo: 1\n", 1, "unknown key foo", "Allowed: instance, host, redis, redis_"),
    "unknown option": ("claude:\n  alowedTools: x\n", 2, "claude.alowedTools", "mean allowed_tools?"),
    "unknown key of many": (INBOX + "    prompd: x\n", 5, "inbox.prompd", "docs/configuration.md has all "),
    "unknown key of an entry": (INBOX + "    setle: 2s\n", 5, "watchers.inbox.setle", "mean settle?"),
    "unknown key of a group": ("consumers:\n- {cont: 2}\n", 2, "consumers[1].cont", "mean count?"),
    "a mapping for redis": ("redis: {url: x}\n", 1, "redis reads", "Allowed: embedded, redis://"),
    "wrong type": ("claude:\n  retries: many\n", 2, 'claude.retries reads "many"', "whole number"),
    "bool for a number": (INBOX + "    priority: true\n", 5, "reads true", "from -1000 to 1000"),
    "a word for a bool": (INBOX + "    recursive: yes\n", 5, 'reads "yes"', "true or false"),
    "none of the choices": ("claude:\n  effort: huge\n", 2, 'reads "huge"', "low, medium, high"),
    "an item of a list": ("claude:\n  tools:\n  - Read\n  - 5\n", 4, "claude.tools reads 5", "list"),
    "a source": ("claude: {setting_sources: [all]}\n", 1, '"all"', "a list of: user, project"),
    "a variable with its value": ("claude:\n  env: [A=b]\n", 2, '"A=b"', "variable names"),
    "a text for a section": ("watchers: Inbox\n", 1, 'watchers reads "Inbox"', "mapping"),
    "a text for an entry": ("watchers:\n  inbox: Inbox\n", 2, "watchers.inbox reads", "mapping"),
    "a list for all": ("- a\n", 1, "not a mapping", "key: value"),
    "bad duration": (INBOX + "    settle: soon\n", 5, 'reads "soon"', "1h30m"),
    "a clock for a duration": ("claude:\n  max_runtime: 1:30\n", 2, '"1:30"', "1h30m"),
    "a runtime of nothing": ("claude:\n  max_runtime: 0\n", 2, "reads 0", "above 0"),
    "a poll without rest": (POLLER.replace("5m", "10ms"), 3, '"10ms"', "1s or more"),
    "no budget": ("budget_usd_per_day: 0\n", 1, "reads 0", "USD above 0"),
    "no budget of tokens": ("budget_tokens_per_day: 1.5\n", 1, "reads 1.5", "whole number, 1 or"),
    "the user's time zone": ("timezone: Europe/Berlni\n", 1, "Berlni", "Europe/Berlin"),
    "too many consumers": ("consumers: 1000\n", 1, "reads 1000", "0 to 256"),
    "no number of consumers": ("consumers: two\n", 1, '"two"', "{queues: [...], count: N}"),
    "a group without queues": ("consumers:\n- {queues: []}\n", 2, "queues reads []", "one queue"),
    "bad queue": (INBOX + "    queue: A B\n", 5, '"A B"', "a queue name"),
    "bad instance": ("instance: My_Baton\n", 1, '"My_Baton"', "1 to 30"),
    "instance like a flag": ("instance: -x\n", 1, '"-x"', "beginning with"),
    "bad name": ("watchers:\n  My Inbox: {}\n", 2, '"My Inbox"', "a-z, 0-9 and -"),
    "a name like a flag": ("schedules:\n  -x: {}\n", 2, '"-x"', "beginning with"),
    "no path": ("watchers:\n  a:\n    prompt: x\n", 2, "watchers.a has no path", "the folder"),
    "a path of nothing": ("watchers:\n  a:\n    path:\n    prompt: x\n", 3, "has no path", "folder"),
    "no command": ("pollers:\n  a: {every: 5m, prompt: x}\n", 2, "has no source", "one of them"),
    "neither": ("watchers:\n  a:\n    path: x\n", 2, "neither prompt nor task", "one of them"),
    "both": (INBOX + "    task: x\n", 2, "both prompt and task", "one of them"),
    "an empty prompt": (INBOX.replace("Read it.", '""'), 4, 'prompt reads ""', "text"),
    "one folder twice": (INBOX + "  b: {path: ./Inbox/, prompt: x}\n", 5, "watcher inbox", "One fol"),
    "a folder in a watched one": (
        INBOX + "    recursive: true\n  b: {path: Inbox/b, prompt: x}\n",
        6, "watcher inbox watches too", "One folder",
    ),
    "a tree around a watched folder": (
        "watchers:\n  a: {path: X/a, prompt: x}\n  b: {path: X, recursive: true, prompt: x}\n",
        3, "watcher a watches too", "One folder",
    ),
    "a folder around the yaml": (
        INBOX + "  b: {path: ., recursive: true, prompt: x}\n", 5, "holds baton.yaml itself", "own",
    ),
    "done is the inbox": (INBOX + "    done: Inbox\n", 5, "watches itself", "outside"),
    "failed in a watched tree": (
        INBOX + "    failed: Inbox/F\n    recursive: true\n", 5, "watches itself", "outside",
    ),
    "a number for done": (INBOX + "    done: 5\n", 5, "done reads 5", "a folder, delete or leave"),
    "somebody's home": (INBOX + "    cwd: ~no-such-user/x\n", 5, "~no-such-user/x", "home folder"),
    "two sources": (POLLER + "    http: {url: x}\n", 2, "has command and http", "one of them"),
    "no web address": (WEB.replace("https:", "ftp:"), 5, "ftp://h/x", "begins with https://"),
    "a password in an address": (WEB.replace("//h", "//a:b@h"), 5, "has a password", "basic: [USER"),
    "an unknown key of http": (http("itmes: x"), 6, "pollers.p.http.itmes", "mean items?"),
    "no address": (WEB.replace("url: https://h/x", "items: x"), 4, "http has no url", "Write url"),
    "a secret as bearer": (http("bearer: ghp-123"), 6, "bearer reads", "stands in .env"),
    "two credentials": (http("bearer: A\n      basic: [B, C]"), 4, "both bearer", "keep one"),
    "one word for basic": (http("basic: A"), 6, "basic reads", "the name of a variable"),
    "headers": (http("headers: [a]"), 6, "headers reads", "a mapping of text"),
    "a parameter for nothing": (http("next_query: p"), 6, "without a `next`", "a JMESPath"),
    "a number as feed": (
        "pollers:\n  p:\n    every: 5m\n    feed: 5\n    prompt: x\n", 4, "feed reads 5", "a mapping",
    ),
    "an open quote in a command": (POLLER.replace("x\n", "x 'y\n", 1), 4, "x 'y", "every quote"),
    "an empty command": (POLLER.replace("command: x", "command: []"), 4, "reads []", "its words"),
    "first": (POLLER + "    first: -1\n", 6, "reads -1", "baseline, all, a whole number"),
    "no fields of cron": (SCHEDULE.replace("0 9 * * 1", "@"), 3, '"@"', "five fields"),
    "time zone": (SCHEDULE + "    timezone: Europe/Berlni\n", 5, "Berlni", "Europe/Berlin"),
    "a folder as time zone": (SCHEDULE + "    timezone: Europe\n", 5, '"Europe"', "IANA"),
    "overlap": (SCHEDULE + "    overlap: never\n", 5, '"never"', "skip, queue, allow"),
    "a file as module": ("tasks: [a, my-tasks.py]\n", 1, '"my-tasks.py"', "my_tasks for"),
    "a keyword as module": ("tasks:\n- a\n- my.class\n", 3, '"my.class"', "Python modules"),
    "a module of ours": ("tasks: settings\n", 1, '"settings"', "one of Baton's"),
    "redis": ("redis: localhost:6379\n", 1, "redis reads localhost:6379", "redis://host:port/db"),
    "a port of redis": ("redis: redis://h:port\n", 1, "redis://h:port", "redis://host:port/db"),
    "a socket of redis": ("redis: unix://run/x.sock\n", 1, "unix://run", "unix:///path"),
    "redis as a number": ("redis: 6379\n", 1, "redis reads 6379", "Allowed: embedded, redis://"),
    "redis_unsafe": ("redis_unsafe: maybe\n", 1, 'redis_unsafe reads "maybe"', "refuse, allow"),
    "a second key": ("instance: a\nredis:\ninstance: b\n", 3, "instance stands here a", "Keep one"),
    "a second entry": (INBOX + "  inbox: {}\n", 5, "second time (first in line 2)", "Keep one"),
    "a tab": ("watchers:\n\tinbox: {}\n", 2, "a tab indents this line", "spaces"),
    "a tab after spaces": ("watchers:\n  a: 1\n \tb: 2\n", 3, "a tab indents this line", "spaces"),
    "an unquoted cron": ("schedules:\n  a: {\n  cron: * * *}\n", 3, "alias", "quotes"),
    "an unquoted template": ("watchers:\n  a:\n    prompt: {{ path }}\n", 3, "key is not", "quotes"),
    "an unquoted template, text": ("claude:\n  model: {{ a }} b\n", 2, "YAML cannot", "quotes"),
    "a colon too many": ("claude:\n  model: a: b\n", 2, "YAML cannot read this", "quotes"),
    "an open quote": ('instance: "a\nredis: x\n', 3, "that begins in line 1", "quotes"),
    "an open bracket": ("tasks: [a\nredis: x\n", 2, "YAML cannot read this", "quotes"),
    "two documents": ("a: 1\n---\nb: 1\n", 2, "YAML cannot read this", ""),
    "a control character": ("# ü\nredis: \x07\n", 2, "control character", "Remove"),
    "a tag": ("claude:\n  model: !!python/name:os.system x\n", 2, "unknown tag", "plain value"),
    "an endless alias": ("claude: &a\n  agents: *a\n", 2, "contains itself", "Write the value"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_message_with_file_line_what_was_read_and_what_is_allowed(
    mistake: str, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, line, problem, remedy = MISTAKES[mistake]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError) as caught:
        load(text)
    error = caught.value
    assert str(error).startswith(f"baton.yaml:{line}: ")
    assert (error.file, error.line) == (tmp_path / "baton.yaml", line)
    assert problem in error.problem
    assert remedy in error.remedy
    assert "\n" not in str(error)


def test_a_missing_yaml_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nope\.yaml: there is no such file\. Run \./baton up"):
        settings.load(None, {"BATON_CONFIG": str(tmp_path / "nope.yaml")})


def test_a_yaml_that_is_a_folder_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        settings.load(tmp_path, {})
    (tmp_path / "baton.yaml").write_bytes(b"# a\n\xff\n")
    with pytest.raises(SettingsError, match=r"baton\.yaml:2: it is not text in UTF-8"):
        settings.load(tmp_path / "baton.yaml", {})


# --- overlay and calls --------------------------------------------------------------------------


def test_an_overlay_replaces_what_it_names_and_nothing_else() -> None:
    base = ClaudeOptions(model="a", allowed_tools=("Read",))
    found = settings.overlay(base, {"model": None, "max_runtime": "5m", "allowed_tools": ["Bash"]})
    assert found == ClaudeOptions(model="a", allowed_tools=("Bash",), max_runtime=Duration(300))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"modle": "x"},
            r"modle is no option of claude. Did you mean model\?",
        ),
        ({"max_turns": 0}, "max_turns: 0 is not allowed; allowed: a whole number, 1 or more"),
        ({"effort": "\ud800"}, "effort: .* low, medium"),
        ({"max_silence": -1}, "max_silence: -1 .* above 0"),
        ({"command": "x"}, "command is no option"),
    ],
)
def test_an_overlay_refuses_what_no_entry_may_say(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        settings.overlay(ClaudeOptions(), changes)


def test_the_options_of_a_call_become_absolute_and_json_able(tmp_path: Path) -> None:
    changes = {"cwd": "repo", "plugin_dir": "~/p", "max_silence": "90s", "settings": '{"a": 1}'}
    found = settings.resolve_options(changes, tmp_path)
    assert found == {
        "cwd": f"{tmp_path}/repo",
        "plugin_dir": [str(Path.home() / "p")],
        "max_silence": 90.0,
        "settings": '{"a": 1}',
    }
    assert settings.resolve_options(found, Path("/elsewhere")) == found
    assert settings.overlay(ClaudeOptions(), found).cwd == f"{tmp_path}/repo"


# --- .env and the environment -------------------------------------------------------------------


def test_dotenv_lines_are_read_as_compose_reads_them(load: Load) -> None:
    found = load(
        "",
        "# a comment\n\nA=1\nexport B = two words # not this\nC='$x # y'\r\n"
        'D="a \\"b\\" \\\\ \\n c" # no\nE=\nF=a#b\n',
    )
    del found.environ["B"]  # checked below, with its spaces
    assert {k: found.environ.get(k) for k in "ACDEF"} == {
        "A": "1",
        "C": "$x # y",
        "D": 'a "b" \\ \n c',
        "E": None,
        "F": "a#b",
    }
    assert load("", "export B = two words # not this\n").environ["B"] == "two words"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("just words", "this line is not KEY=VALUE"),
        ("1A=x", "this line is not KEY=VALUE"),
        ("A='x", "A: a quote is not closed"),
        ("A='x' y", "something follows"),
        ('A="x\\q"', "A: a backslash"),
        ("A=${B}", r"A: a \$ needs single quotes"),
        ('A="$B"', r"A: a \$ needs single quotes"),
        ("X=2", r"X stands here a second time \(first in line 1\)"),
        ("BATON_CONFIG=/x.yaml", "says where .env is"),
    ],
)
def test_a_bad_line_of_dotenv_is_named_and_its_secret_is_not(
    line: str, words: str, load: Load
) -> None:
    with pytest.raises(SettingsError, match=rf"\.env:2: .*{words}") as caught:
        load("", f"X=s3cret\n{line}\n")
    assert "s3cret" not in str(caught.value)
    assert caught.value.line == 2


def test_a_dotenv_that_others_may_read_is_a_warning(load: Load, tmp_path: Path) -> None:
    load("", "A=1\n")
    (tmp_path / ".env").chmod(0o640)
    assert [w for w in load("").warnings if "chmod 600" in w]


def test_the_environment_wins_over_dotenv_and_an_empty_variable_does_not(load: Load) -> None:
    found = load("claude: {env: [A, B]}", "A=file\nB=file\nC=file\n", {"A": "shell", "B": ""})
    assert {k: found.environ[k] for k in "ABC"} == {"A": "shell", "B": "file", "C": "file"}


def test_only_what_is_needed_or_named_is_taken_from_the_environment(load: Load) -> None:
    text = "claude: {env: [NAMED]}\n" + INBOX + "    env: [INBOX]\n"
    environ = dict.fromkeys(
        ["HOME", "PATH", "LC_TIME", "NAMED", "INBOX", "ANTHROPIC_API_KEY", "OTHER"], "x"
    )
    assert set(load(text, "", environ).environ) == {"HOME", "PATH", "LC_TIME", "NAMED", "INBOX"}


def test_var_is_where_baton_var_says(load: Load, tmp_path: Path) -> None:
    assert load("", "", {"BATON_VAR": str(tmp_path / "v")}).var == tmp_path.resolve() / "v"
    assert load("", "BATON_VAR=state\n").var == tmp_path.resolve() / "state"


def test_sockets_have_a_short_private_folder(load: Load, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    far = load("", "", {"BATON_VAR": str(deep)})
    near = load("", "", {"BATON_VAR": "/srv/v"})
    assert near.run_dir == Path("/srv/v/run")
    assert re.fullmatch(r"/tmp/baton-\d+-[0-9a-f]{12}", str(far.run_dir))
    assert far.run_dir != load("", "", {"BATON_VAR": f"{deep}2"}).run_dir


def test_the_folder_of_sockets_is_ours_alone_or_refused(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import msgspec

    found = msgspec.structs.replace(load(""), run_dir=tmp_path / "v" / "run")
    assert settings.make_run_dir(found) == tmp_path / "v" / "run"
    assert stat.S_IMODE((tmp_path / "v" / "run").stat().st_mode) == 0o700
    (tmp_path / "link").symlink_to(tmp_path / "v")
    with pytest.raises(SettingsError, match="no folder of this user"):
        settings.make_run_dir(msgspec.structs.replace(found, run_dir=tmp_path / "link"))
    monkeypatch.setattr("os.getuid", lambda: 4711)
    with pytest.raises(SettingsError, match="no folder of this user"):
        settings.make_run_dir(found)
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be made"):
        settings.make_run_dir(msgspec.structs.replace(found, run_dir=tmp_path / "file" / "run"))


# --- which Redis --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "dotenv", "url"),
    [
        ("redis: redis://h:1/2", "", "redis://h:1/2"),
        ("redis: unix:///r.sock", "", "unix:///r.sock"),
        ("redis: embedded", "REDIS_URL=rediss://h/0\n", "rediss://h/0"),
        ("", "REDIS_URL=redis://u:p@h/1\n", "redis://u:p@h/1"),
        ("redis: redis://localhost", "REDIS_URL=redis://:p@127.0.0.1:6379/0\n",
         "redis://:p@127.0.0.1:6379/0"),
        ("", "REDIS_URL=redis://h:1/0\nBATON_REDIS_PASSWORD='a/b@ $c'\n",
         "redis://:a%2Fb%40%20%24c@h:1/0"),
        ("", "REDIS_URL=redis://me@h:1/0\nBATON_REDIS_PASSWORD=p\n", "redis://me:p@h:1/0"),
        ("", "REDIS_URL=redis://:own@h\nBATON_REDIS_PASSWORD=p\n", "redis://:own@h"),
        ("", "REDIS_URL=unix:///r.sock?db=3\nBATON_REDIS_PASSWORD=p\n", "unix://:p@/r.sock?db=3"),
    ],
)  # fmt: skip
def test_the_url_of_redis_is_the_one_that_is_named(
    text: str, dotenv: str, url: str, load: Load
) -> None:
    found = load(text, dotenv).redis
    assert (found.mode, found.url) == ("url", url)


@pytest.mark.parametrize("redis", ["", "redis: redis://h\n"])
def test_an_unsafe_redis_is_allowed_only_by_that_word(redis: str, load: Load) -> None:
    assert load(redis + "redis_unsafe: allow\n").redis.unsafe
    assert not load(redis + "redis_unsafe: refuse\n").redis.unsafe
    assert not load(redis).redis.unsafe


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("redis://a/0", "redis://b/0"),
        ("redis://a/0", "redis://a/1"),
        ("redis://a:1", "redis://a:2"),
        ("unix:///a", "unix:///b"),
        ("redis://a", "unix:///a"),
    ],
)
def test_two_different_servers_are_refused(one: str, other: str, load: Load) -> None:
    with pytest.raises(SettingsError, match=r"baton\.yaml:1: redis is .*, but REDIS_URL is .*"):
        load(f"redis: {one}\n", f"REDIS_URL={other}\n")


@pytest.mark.parametrize(
    "url", ["h:6379", "http://h", "redis://", "redis://:s3cret@h:x", "Redis://h"]
)
def test_a_malformed_redis_url_is_named_where_it_stands_without_its_password(
    url: str, load: Load, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=r"\.env:1: REDIS_URL: it reads") as caught:
        load("", f"REDIS_URL={url}\n")
    assert "s3cret" not in str(caught.value)
    (tmp_path / ".env").unlink()
    with pytest.raises(SettingsError, match=r"^environment: REDIS_URL: it reads"):
        load("", "", {"REDIS_URL": url})


def test_a_socket_path_survives_the_way_through_its_url(load: Load) -> None:
    from redis import ConnectionPool

    found = load("", "", {"BATON_VAR": "/srv/a b%?#"})
    pool = ConnectionPool.from_url(found.redis.url)
    assert pool.connection_kwargs["path"] == "/srv/a b%?#/run/redis.sock"


# --- warnings, secrets, what an app depends on --------------------------------------------------


def test_what_looks_odd_is_a_warning_with_its_line(load: Load) -> None:
    text = (
        "claude: {env: [TOKEN_X]}\nredis: redis://:p@h\n"
        + INBOX
        + "    queue: slow\n    cwd: gone\n    mcp_config: gone.json\n"
    )
    found = load(text, "REDIS_URL=redis://h/0\n", {"REDIS_URL": "redis://:p@h"}).warnings
    expected = [
        "REDIS_URL",
        "TOKEN_X",
        "baton.yaml:2: a password",
        ":8: cwd names",
        ":9: mcp",
        ":7: no",
    ]
    assert len(found) == len(expected)
    for words, warning in zip(expected, found, strict=True):
        assert words in warning


@pytest.mark.parametrize(
    ("text", "line", "where"),
    [
        ("claude:\n  max_budget_usd: 9\n", 2, "claude.max_budget_usd"),
        (INBOX + "    max_budget_usd: 9\n", 5, "watchers.inbox.max_budget_usd"),
    ],
)
def test_a_task_that_fits_into_no_day_is_a_mistake_with_its_line(
    text: str, line: int, where: str, load: Load
) -> None:
    with pytest.raises(SettingsError) as refused:
        load(text + "budget_usd_per_day: 5\n")
    said = str(refused.value)
    assert f"baton.yaml:{line}: {where}: 9 USD is more than all tasks of a day may cost" in said
    assert "(budget_usd_per_day: 5)" in said
    load(text + "budget_usd_per_day: 9\n")


def test_a_task_that_fits_into_no_day_is_refused(load: Load) -> None:
    found = load("budget_usd_per_day: 5\n")
    found.check_options({"max_budget_usd": 5})
    with pytest.raises(ValueError, match=r"^max_budget_usd: 6 USD is more than .* 5\)$"):
        found.check_options({"max_budget_usd": 6})


def test_a_day_without_a_limit_for_each_task_is_a_warning(load: Load) -> None:
    [unlimited] = load("budget_usd_per_day: 5\n").warnings
    assert "baton.yaml:1: without max_budget_usd" in unlimited
    assert load("claude:\n  max_budget_usd: 2\nbudget_usd_per_day: 5\n").warnings == ()


def test_a_schedule_without_a_time_zone_has_the_user_s(load: Load) -> None:
    own = SCHEDULE.replace("schedules:\n", "") + "    timezone: Asia/Tokyo\n"
    found = load("timezone: Europe/Berlin\n" + SCHEDULE + own.replace("  s:", "  other:"))
    assert found.timezone == "Europe/Berlin"
    zones = {name: schedule.timezone for name, schedule in found.schedules.items()}
    assert sorted(zones.values(), key=str) == ["Asia/Tokyo", "Europe/Berlin"]


def test_a_printed_setting_shows_no_secret(load: Load) -> None:
    found = load("", "REDIS_URL=redis://:s3cret@h\nTOKEN=s3cret\n")
    assert "s3cret" not in repr(found) + str(found.redis) + json.dumps(
        [found.describe("consumer", "1"), found.describe("redis")]
    )


ROLES = {"redis": "", "watch": "inbox", "poll": "p", "scheduler": "", "consumer": "1"}
BEFORE = "claude: {model: a}\nredis: redis://h\n" + INBOX + POLLER + SCHEDULE


@pytest.mark.parametrize(
    ("old", "new", "touched"),
    [
        ("redis://h", "redis://i", set(ROLES)),
        ("path: Inbox", "path: Other", {"watch"}),
        ("every: 5m", "every: 6m", {"poll"}),
        ("0 9", "0 8", {"scheduler"}),
        ("model: a", "model: b", {"consumer"}),
        ("claude:", "tasks: [mine]\nclaude:", {"scheduler", "consumer"}),
        ("claude:", "budget_usd_per_day: 3\nclaude:", {"consumer"}),
        ("claude:", "budget_tokens_per_day: 3\nclaude:", {"consumer"}),
        ("claude:", "timezone: Asia/Tokyo\nclaude:", {"consumer", "scheduler"}),
        ("claude: {", "claude: {command: /x, ", {"consumer"}),
        ("claude:", "# a comment\nclaude:", set()),
        ("claude:", "consumers: 5\nclaude:", set()),
    ],
)
def test_an_app_depends_on_its_own_settings_only(
    old: str, new: str, touched: set[str], load: Load
) -> None:
    before, after = load(BEFORE), load(BEFORE.replace(old, new, 1))
    changed = {
        role
        for role, name in ROLES.items()
        if before.describe(role, name) != after.describe(role, name)
    }
    assert changed == touched


def test_a_new_password_or_token_in_dotenv_restarts_who_uses_it(load: Load) -> None:
    def described(dotenv: str) -> list[dict[str, Any]]:
        found = load(INBOX, dotenv)
        return [found.describe("watch", "inbox"), found.describe("consumer", "1")]

    plain = described("REDIS_URL=redis://:a@h\nTOKEN=a\n")
    token = described("REDIS_URL=redis://:a@h\nTOKEN=b\n")
    password = described("REDIS_URL=redis://:b@h\nTOKEN=a\n")
    assert (plain[0] == token[0], plain[1] == token[1]) == (True, False)
    assert plain[0] != password[0]


@pytest.mark.parametrize(
    "entry", ["http: {url: 'http://h', bearer: TOKEN}", "command: x, env: [TOKEN]"]
)
def test_a_new_token_restarts_the_poller_that_sends_it_and_no_other(load: Load, entry: str) -> None:
    text = f"pollers:\n  a: {{every: 1m, prompt: x, {entry}}}\n"
    text += "  b: {every: 1m, prompt: x, feed: 'http://h'}\n"
    before, after = load(text, "TOKEN=a\n"), load(text, "TOKEN=b\n")
    changed = [n for n in "ab" if before.describe("poll", n) != after.describe("poll", n)]
    assert changed == ["a"]
    assert "TOKEN=a" not in str(before.describe("poll", "a"))


def test_a_description_goes_through_json_unchanged(load: Load) -> None:
    found = load(BEFORE)
    for role, name in ROLES.items():
        described = found.describe(role, name)
        assert json.loads(json.dumps(described)) == described
    for role, name in (("watch", "gone"), ("consumer", "9"), ("mayor", "")):
        with pytest.raises(KeyError):
            found.describe(role, name)


# --- the first start ----------------------------------------------------------------------------


def test_the_example_is_copied_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "baton.example.yaml").write_bytes(EXAMPLE.read_bytes())
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    assert settings.ensure_config(environ={}) == (tmp_path / "baton.yaml", True)
    (tmp_path / "baton.yaml").write_text("instance: mine\n")
    assert settings.ensure_config(environ={}) == (tmp_path / "baton.yaml", False)
    assert (tmp_path / "baton.yaml").read_text() == "instance: mine\n"


def test_two_first_starts_at_once_copy_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "baton.example.yaml").write_text("instance: example\n")
    (tmp_path / "baton.yaml").write_text("instance: the-other-one\n")
    monkeypatch.setattr(settings, "ROOT", tmp_path)
    monkeypatch.setattr(Path, "exists", lambda path: False)  # as it was a moment ago
    assert settings.ensure_config(environ={}) == (tmp_path / "baton.yaml", False)
    assert (tmp_path / "baton.yaml").read_text() == "instance: the-other-one\n"


def test_a_yaml_that_was_named_and_is_missing_is_not_made_up(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no such file"):
        settings.ensure_config(environ={"BATON_CONFIG": str(tmp_path / "typo.yaml")})
    assert not (tmp_path / "typo.yaml").exists()


# --- durations ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5m", 300), ("1h30m", 5400), ("90s", 90), ("2d", 172800), ("250ms", 0.25), ("1.5h", 5400),
        ("90", 90), ("0.5", 0.5), (0, 0), (7, 7), (2.5, 2.5), (" 5m ", 300), ("1d1h1m1s1ms", 90061.001),
    ],
)  # fmt: skip
def test_a_duration_is_read(text: str | float, seconds: float) -> None:
    assert settings.parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", " ", "5 m", "m", "30m1h", "1h1h", "5min", "-5m", "+5m", "1e3", "inf", "nan", "1:30", "٥m",
     "1_000", "9999d", -1, 1e12, float("nan"), float("inf"), True, None, [1], 10**400],
)  # fmt: skip
def test_no_other_duration_is_read(text: Any) -> None:
    with pytest.raises(ValueError, match=r"is not a duration such as .*1h30m.*at most 3650d"):
        settings.parse_duration(text)


@given(st.integers(min_value=0, max_value=3650 * 86_400_000))
def test_a_printed_duration_reads_back_as_itself(milliseconds: int) -> None:
    duration = Duration(milliseconds / 1000)
    assert settings.parse_duration(str(duration)) == pytest.approx(duration, abs=1e-6)


@given(st.floats(min_value=0, max_value=1e8, allow_subnormal=False))
def test_any_number_of_seconds_is_a_duration(seconds: float) -> None:
    assert settings.parse_duration(seconds) == seconds


@given(st.text(alphabet="0123456789.dhms ", max_size=12))
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert settings.parse_duration(text) >= 0


def test_a_duration_prints_as_people_write_it() -> None:
    seconds = (0, 5400, 90, 0.25, 90061.001, 1e-5)
    assert [str(Duration(s)) for s in seconds] == [
        "0s", "1h30m", "1m30s", "250ms", "1d1h1m1s1ms", "1e-05s",
    ]  # fmt: skip
