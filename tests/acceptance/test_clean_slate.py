"""What a tool of the real claude sees of the world: what the configuration names, and nothing of Baton's or PM2's."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from consumers import processes
from durable.records import State
from tests.acceptance.claude_site import ClaudeSite, bash, claude_settings, dotenv, say, script
from tests.acceptance.standin_process import StandInProcess, standin

pytestmark = pytest.mark.skipif(not processes.LINUX, reason="reads /proc to see what is there")

#: What surrounds a consumer under PM2, in a session of Claude Code's own, in a shell full of secrets.
AROUND = {
    "pm_id": "3",
    "PM2_HOME": "/nowhere/pm2",
    "PM2_USAGE": "CLI",
    "NODE_APP_INSTANCE": "0",
    "NODE_OPTIONS": "--no-warnings",
    "CLAUDECODE": "1",
    "CLAUDE_CODE_SESSION_ID": "of an outer session",
    "CLAUDE_CODE_SSE_PORT": "1",
    "ANTHROPIC_AUTH_TOKEN": "a stray one",
    "ANTHROPIC_MODEL": "claude-stray",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "BATON_FAULT": "",
    "TMPDIR": "/var/tmp",
    "OLDPWD": "/nowhere",
    "LC_TIME": "C",
    "TZ": "Europe/Berlin",
}
#: What claude itself adds for its tools, beside names that begin with CLAUDE.
ITS_OWN = {
    *("AI_AGENT", "COREPACK_ENABLE_AUTO_PIN", "GIT_EDITOR", "NoDefaultCurrentDirectoryInExePath"),
    *("SHELL", "PWD", "OLDPWD", "SHLVL", "_"),  # and its shell
}
LOOK = """
import json, os
def stat(pid): return open(f'/proc/{pid}/stat').read().rpartition(')')[2].split()
claude = os.getpid()
while b'--output-format=stream-json' not in open(f'/proc/{claude}/cmdline', 'rb').read():
    claude = int(stat(claude)[1])
environ = open(f'/proc/{claude}/environ', 'rb').read().decode().split(chr(0))
status = dict(line.split(':', 1) for line in open('/proc/self/status'))
files = {}
for name in os.listdir('/proc/self/fd'):
    try: files[name] = os.readlink(f'/proc/self/fd/{name}')
    except OSError: pass
print(json.dumps({
    'claude': dict(line.split('=', 1) for line in environ if line), 'tool': dict(os.environ),
    'files': files, 'terminal': stat('self')[4], 'umask': os.umask(0), 'cwd': os.getcwd(),
    'runner': int(stat(claude)[1]), 'leads': os.getsid(claude) == claude,
    'ignored': int(status['SigIgn'], 16), 'blocked': int(status['SigBlk'], 16),
}))
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the tool saw, and beside it the site's folder and the attempt's command."""
    folder = tmp_path_factory.mktemp("clean")
    with standin() as api:
        yield look_around(folder, api)


def look_around(folder: Path, api: StandInProcess) -> dict[str, Any]:
    dotenv(folder, api)
    work = folder / "work"
    work.mkdir()
    (work / "look.py").write_text(LOOK)
    site = ClaudeSite(folder, {"consumers": 1, "claude": claude_settings()})
    site.start("redis")
    site.start("consumer", "1", **AROUND)
    try:
        look = bash(f"{sys.executable} -IS look.py > seen.json")
        task_id = site.submit(script(look, say("done")), cwd=str(work))
        record = site.finish(task_id)
        assert record.state is State.SUCCEEDED, record.reason
        command = json.loads((site.attempt(task_id) / "command.json").read_text())
        found: dict[str, Any] = json.loads((work / "seen.json").read_text())
        return found | {"site": site, "task": task_id, "command": command, "api": api.url}
    finally:
        site.close()


def test_claude_has_the_environment_that_is_named_and_no_more(seen: dict[str, Any]) -> None:
    assert seen["claude"] == {
        "HOME": str(seen["site"].folder / "home"),
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "LC_TIME": "C",
        "TZ": "Europe/Berlin",
        "TMPDIR": seen["command"]["tmpdir"],
        "ANTHROPIC_API_KEY": "made-up",
        "ANTHROPIC_BASE_URL": seen["api"],
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "BATON_ATTEMPT": f"{seen['task']}/1",
    }


def test_a_tool_has_that_and_what_claude_adds(seen: dict[str, Any]) -> None:
    added = seen["tool"].keys() - seen["claude"].keys()
    assert {name for name in added if not name.startswith("CLAUDE")} <= ITS_OWN
    strangers = set(AROUND.values()) - set(seen["claude"].values()) - {"1", "0", "3", ""}
    assert not strangers & set(seen["tool"].values())
    changed = {name for name in seen["claude"] if seen["tool"].get(name) != seen["claude"][name]}
    assert not changed


def test_its_temporary_folder_is_its_own_and_gone(seen: dict[str, Any]) -> None:
    folder = Path(seen["tool"]["TMPDIR"])
    assert folder.parent == Path("/var/tmp")
    assert not folder.exists()


def test_it_inherits_no_open_file_and_no_terminal(seen: dict[str, Any]) -> None:
    assert seen["terminal"] == "0"
    assert seen["leads"]
    strange = {n: to for n, to in seen["files"].items() if int(n) > 2}
    assert not strange


def test_it_starts_where_it_is_told_with_ordinary_manners(seen: dict[str, Any]) -> None:
    assert seen["cwd"] == str(seen["site"].folder / "work")
    assert seen["umask"] == 0o077
    python_ignores = 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1
    assert (seen["blocked"], seen["ignored"]) == (0, python_ignores)
