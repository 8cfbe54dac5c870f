"""Records the streams in this folder again, with the real CLI against the stand-in.

Run it from the repository as `python -P tests/data/streams/record.py [NAME …]` after an upgrade of
the CLI; it rewrites NAME.jsonl (`--into FOLDER`: there) and prints the table for README.md. What
differs from run to run (identifiers, paths, ports) is replaced by neutral values.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM, Signals

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[2]))

from tests.acceptance.claude_cli import Auth, Run, find_claude, start_claude  # noqa: E402
from tests.acceptance.standin_process import standin  # noqa: E402

BASH = {"tool": "Bash", "input": {"command": "echo hello from bash", "description": "Say hello"}}
# Not a command that only reads: those the CLI allows by itself.
WRITE = {"tool": "Bash", "input": {"command": "touch made", "description": "Make a file"}}
INTEGER = '{"type":"object","properties":{"answer":{"type":"integer"}}}'
SLEEP = {"tool": "Bash", "input": {"command": "touch started; sleep 20", "description": "Wait"}}
QUICK = {"tool": "Bash", "input": {"command": "touch quick", "description": "Be quick"}}
ASK = {"description": "Ask another", "subagent_type": "general-purpose"}
NO_SESSION = "00000000-0000-4000-8000-00000000dead"
WITH_BASH = ("--allowedTools", "Bash")
CREDIT = (
    "Your credit balance is too low to access the Anthropic API. "
    "Please go to Plans & Billing to upgrade or purchase credits."
)
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
SOCKET = re.compile(r"/[^\"]*/cc-socks/\d+\.sock")
RANDOM = re.compile(r"(?:req_|msg_|toolu_)standin[0-9a-f]+")


@dataclass(frozen=True)
class Scene:
    """One recording: what is asked, how it is run, and when it is broken off."""

    directive: dict[str, object]
    about: str
    args: tuple[str, ...] = ()
    auth: Auth = "api_key"
    until: Callable[[Run], bool] | None = None
    stop_by: Signals = SIGKILL
    port: int | None = None


def retried_twice(run: Run) -> bool:
    """Tell whether the CLI has announced its second retry."""
    return len(run.of("system", "api_retry")) >= 2


def tool_announced(run: Run) -> bool:
    """Tell whether the stream names a tool call; the tool itself may not run yet."""
    return any(
        block["type"] == "tool_use"
        for event in run.of("assistant")
        for block in event["message"]["content"]
    )


def tool_running(run: Run) -> bool:
    """Tell whether the SLEEP command has begun."""
    return (run.folder / "work" / "started").exists()


def begun(run: Run) -> bool:
    """Tell whether the CLI has said that it is there."""
    return bool(run.of("system", "init"))


def tool_answered(run: Run) -> bool:
    """Tell whether a tool's result is in the stream."""
    return bool(run.tool_results())


asked = json.dumps({"steps": [SLEEP], "text": "The other is done."})
SCENES = {
    "success": Scene({"text": "The answer is 42."}, "a text answer"),
    "bash_success": Scene({"steps": [BASH], "text": "Bash said hello."}, "a tool call", WITH_BASH),
    "denied": Scene(
        {"steps": [WRITE], "text": "I was not allowed to."}, "Bash is not in allowed_tools"
    ),
    "structured": Scene(
        {"steps": [{"tool": "StructuredOutput", "input": {"answer": 42}}], "text": "Done."},
        "an answer for `--json-schema`",
        ("--json-schema", INTEGER),
    ),
    "structured_missing": Scene(
        {"text": "It is 42."}, "words alone for `--json-schema`", ("--json-schema", INTEGER)
    ),
    "structured_unfit": Scene(
        {"steps": [{"tool": "StructuredOutput", "input": {"answer": "many"}}] * 6},
        "an answer that does not fit `--json-schema`, again and again",
        ("--json-schema", INTEGER),
    ),
    "api_400": Scene({"error": 400}, "a request that the API refuses"),
    "prompt_too_long": Scene(
        {"error": 400, "message": "prompt is too long: 250000 tokens > 200000 maximum"},
        "a prompt over the model's limit",
    ),
    "no_credit": Scene({"error": 400, "message": CREDIT}, "no credit on an API key"),
    "api_401_retry": Scene({"error": 401}, "a wrong API key", until=retried_twice),
    "api_401_oauth": Scene({"error": 401}, "a login that has run out", auth="oauth"),
    "api_403": Scene({"error": 403}, "an account without permission"),
    "api_429_key": Scene(
        {"error": 429, "headers": {"x-should-retry": "false"}},
        "an API key's limit; the API says not to retry",
    ),
    "api_429_key_retry": Scene({"error": 429}, "an API key's limit", until=retried_twice),
    "subscription_allowed": Scene(
        {"rate_limit": "allowed", "text": "Fine."}, "far from the limit", auth="oauth"
    ),
    "subscription_warning": Scene(
        {"rate_limit": "allowed_warning", "claim": "seven_day", "text": "Fine."},
        "near the weekly limit",
        auth="oauth",
    ),
    "subscription_rejected": Scene(
        {"rate_limit": "rejected"}, "the 5-hour limit is reached", auth="oauth"
    ),
    "server_500_retry": Scene({"error": 500}, "a broken API", until=retried_twice),
    "overloaded_529": Scene({"error": 529}, "an overloaded API"),
    "cut": Scene({"cut": True}, "the answer's connection breaks"),
    "unreachable": Scene({}, "nothing listens at the API's address", port=9, until=retried_twice),
    "not_logged_in": Scene({}, "no credential at all", auth="none"),
    "unknown_model": Scene({}, "a model that is none", ("--model", "clod-1")),
    "max_turns": Scene(
        {"steps": [BASH, BASH], "text": "Done."},
        "`--max-turns 1`",
        (*WITH_BASH, "--max-turns", "1"),
    ),
    "max_budget": Scene(
        {"steps": [BASH, BASH], "text": "Done."},
        "`--max-budget-usd 0.01`",
        (*WITH_BASH, "--max-budget-usd", "0.01"),
    ),
    "two_tools": Scene(
        {"steps": [{"tools": [QUICK, SLEEP]}]},
        "two tool calls at once; one is over, the other runs",
        WITH_BASH,
        until=tool_answered,
    ),
    "subagent": Scene(
        {"steps": [{"tool": "Agent", "input": ASK | {"prompt": f"STANDIN: {asked}"}}]},
        "a subagent whose tool runs",
        ("--allowedTools", "Bash,Agent,Task"),
        until=tool_running,
    ),
    "sigint_aborted": Scene(
        {"steps": [SLEEP]},
        "stopped while Bash runs",
        WITH_BASH,
        until=tool_running,
        stop_by=SIGINT,
    ),
    "sigint_early": Scene(
        {"steps": [SLEEP]},
        "stopped when the tool call is announced but does not run yet",
        WITH_BASH,
        until=tool_announced,
        stop_by=SIGINT,
    ),
    "killed": Scene({"steps": [SLEEP]}, "ended while Bash runs", WITH_BASH, until=tool_running),
    "silent_start": Scene({"hang": "before"}, "the API never answers", until=begun),
    "silent_turn": Scene(
        {"steps": [BASH, {"hang": "before"}]},
        "the API answers no more after a tool call",
        WITH_BASH,
        until=tool_answered,
    ),
    "bad_flag": Scene({}, "a file of `--mcp-config` that is not there", ("--mcp-config=/no.json",)),
    "no_session": Scene({}, "`--resume` of a session that is not there", ("--resume", NO_SESSION)),
    "sigterm": Scene(
        {"steps": [SLEEP]},
        "stopped while Bash runs",
        WITH_BASH,
        until=tool_running,
        stop_by=SIGTERM,
    ),
}


def record(name: str, scene: Scene, claude: Path, into: Path) -> str:
    """Play one scene, write its stream, and give its line for the table."""
    with tempfile.TemporaryDirectory() as folder, standin() as api:
        place = Path(folder)
        prompt = "Say hello." + (
            f"\nSTANDIN: {json.dumps(scene.directive)}\n" if scene.directive else ""
        )
        port = scene.port or api.port
        claude_run = start_claude(claude, prompt, port, place, args=scene.args, auth=scene.auth)
        try:
            run = claude_run.follow(scene.until)
            if scene.until:
                claude_run.process.send_signal(scene.stop_by)
                run = claude_run.follow()
        finally:
            claude_run.end()
        neutral = scrubbed(run.stdout, place, port)
    (into / f"{name}.jsonl").write_text(neutral, encoding="utf-8")
    stopped = f"; {scene.stop_by.name} by the recorder" if scene.until else ""
    stderr = f"; stderr: {run.stderr.strip()}" if run.stderr.strip() else ""
    return f"| {name} | {scene.about}{stopped} | {run.exit_code}{stderr} |"


def scrubbed(stream: str, place: Path, port: int) -> str:
    """Replace paths, the port and random identifiers by neutral values."""
    dashed = re.sub(r"[^A-Za-z0-9]", "-", str(place))
    for found, neutral in (
        (str(place / "home"), "/home/someone"),
        (str(place / "work"), "/home/someone/work"),
        (f"{dashed}-work", "-home-someone-work"),
        (f"127.0.0.1:{port}", "127.0.0.1:8080"),
    ):
        stream = stream.replace(found, neutral)
    numbers: dict[str, str] = {}

    def numbered_uuid(match: re.Match[str]) -> str:
        return numbers.setdefault(match[0], f"00000000-0000-4000-8000-{len(numbers) + 1:012}")

    def numbered_id(match: re.Match[str]) -> str:
        prefix = match[0].partition("standin")[0]
        return numbers.setdefault(match[0], f"{prefix}standin{len(numbers) + 1:04}")

    stream = SOCKET.sub("/tmp/cc-socks/1.sock", stream)
    return RANDOM.sub(numbered_id, UUID.sub(numbered_uuid, stream))


def main() -> None:
    """Record the named scenes, or all."""
    parser = argparse.ArgumentParser(description="Record streams of the real CLI")
    parser.add_argument("names", nargs="*", choices=[*SCENES, []], metavar="NAME")
    parser.add_argument("--into", type=Path, default=FOLDER)
    given = parser.parse_args()
    claude = find_claude()
    told = subprocess.run([claude, "--version"], capture_output=True, text=True, check=True)
    given.into.mkdir(parents=True, exist_ok=True)
    print(f"Recorded with {told.stdout.strip()}.\n")
    print("| stream | what happens | exit status |\n|---|---|---|")
    for name in given.names or SCENES:
        print(record(name, SCENES[name], claude, given.into), flush=True)


if __name__ == "__main__":
    main()
