"""Runs the real Claude Code CLI for tests: clean environment, empty home, the stand-in's API."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parents[2]
RUN_LIMIT_S = 60.0
LOOK_EVERY_S = 0.02

Auth = Literal["api_key", "oauth", "none"]
CREDENTIAL: dict[Auth, dict[str, str]] = {
    "api_key": {"ANTHROPIC_API_KEY": "made-up-key"},
    "oauth": {"CLAUDE_CODE_OAUTH_TOKEN": "made-up-token"},
    "none": {},
}


@dataclass(frozen=True)
class Run:
    """What one `claude -p` left behind."""

    folder: Path
    exit_code: int
    events: list[dict[str, Any]]
    stdout: str
    stderr: str

    @property
    def result(self) -> dict[str, Any]:
        """The `result` event; fails the test where there is none."""
        found = self.of("result")
        assert found, f"no result event; exit {self.exit_code}, stderr: {self.stderr}"
        return found[-1]

    def of(self, kind: str, subtype: str | None = None) -> list[dict[str, Any]]:
        """The events of one type, and of one subtype where given."""
        return [
            event
            for event in self.events
            if event.get("type") == kind and (subtype is None or event.get("subtype") == subtype)
        ]

    def tool_results(self) -> list[str]:
        """What each tool gave back, in order."""
        blocks = [block for event in self.of("user") for block in event["message"]["content"]]
        return [str(block["content"]) for block in blocks if block.get("type") == "tool_result"]


def find_claude() -> Path:
    """Find the CLI where BATON_TEST_CLAUDE points (another version, say), else in the repository's node_modules.

    Raises FileNotFoundError with the remedy.
    """
    packages = ROOT / "node_modules" / "@anthropic-ai"
    found = [path for path in sorted(packages.glob("claude-code-*/claude")) if path.is_file()]
    named = os.environ.get("BATON_TEST_CLAUDE")
    for path in [Path(named)] if named else found:
        if os.access(path, os.X_OK):
            return path
    raise FileNotFoundError(
        f"No claude under {packages} and none in BATON_TEST_CLAUDE: run ./baton test, "
        "which installs it, or set BATON_TEST_CLAUDE to its path."
    )


@dataclass(frozen=True)
class ClaudeProcess:
    """A `claude -p` in a folder: home/, work/ (its cwd), tmp/, prompt.md, stream.jsonl, stderr.log."""

    process: subprocess.Popen[bytes]
    folder: Path

    def read(self) -> Run:
        """Read what it has written so far; the exit code is -1 while it runs."""
        stdout = (self.folder / "stream.jsonl").read_text(encoding="utf-8")
        complete = [line for line in stdout.splitlines(keepends=True) if line.endswith("\n")]
        exit_code = self.process.poll()
        return Run(
            folder=self.folder,
            exit_code=-1 if exit_code is None else exit_code,
            events=[json.loads(line) for line in complete if line.startswith("{")],
            stdout=stdout,
            stderr=(self.folder / "stderr.log").read_text(encoding="utf-8"),
        )

    def follow(
        self, until: Callable[[Run], bool] | None = None, limit_s: float = RUN_LIMIT_S
    ) -> Run:
        """Wait until it has ended, or `until` is satisfied, and give what it wrote.

        Raises TimeoutError after `limit_s` seconds.
        """
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(LOOK_EVERY_S)
                return self.read()
            if until is not None and until(run := self.read()):
                return run
        raise TimeoutError(f"claude was not done after {limit_s} s: {self.read()}")

    def end(self) -> None:
        """Kill what is left of it and of what its tools started.

        A tool's processes have sessions of their own; on Linux their environment gives them away.
        """
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pid in _having(f"HOME={self.folder / 'home'}".encode()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def start_claude(
    claude: Path,
    prompt: str,
    port: int,
    folder: Path,
    *,
    args: Sequence[str] = (),
    auth: Auth = "api_key",
) -> ClaudeProcess:
    """Start `claude -p` in `folder`, with the API at `port` of loopback; the caller ends it."""
    home, work, temporary = (folder / name for name in ("home", "work", "tmp"))
    for place in (home, work, temporary):
        place.mkdir(parents=True, exist_ok=True)
    (folder / "prompt.md").write_text(prompt, encoding="utf-8")
    command = [str(claude), "-p", "--output-format", "stream-json", "--verbose"]
    if "--permission-mode" not in args:
        command += ["--permission-mode", "dontAsk"]
    with (
        (folder / "prompt.md").open("rb") as stdin,
        (folder / "stream.jsonl").open("wb") as stdout,
        (folder / "stderr.log").open("wb") as stderr,
    ):
        process = subprocess.Popen(
            [*command, *args],
            cwd=work,
            env={"HOME": str(home), "TMPDIR": str(temporary), **_environment(port, auth)},
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
    return ClaudeProcess(process, folder)


def run_claude(
    claude: Path,
    prompt: str,
    port: int,
    folder: Path,
    *,
    args: Sequence[str] = (),
    auth: Auth = "api_key",
    until: Callable[[Run], bool] | None = None,
    limit_s: float = RUN_LIMIT_S,
) -> Run:
    """Run `claude -p` to its end, or until `until` says so, and give what it wrote.

    Raises TimeoutError after `limit_s` seconds; nothing of it is left in any case.
    """
    running = start_claude(claude, prompt, port, folder, args=args, auth=auth)
    try:
        return running.follow(until, limit_s)
    finally:
        running.end()


def _having(variable: bytes) -> list[int]:
    """List the processes whose environment has `variable`; none where there is no /proc."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if variable in environ.read_bytes().split(b"\0"):
                found.append(int(environ.parent.name))
    return found


def _environment(port: int, auth: Auth) -> dict[str, str]:
    """Name the variables that claude gets beside its folders; only PATH is inherited."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        **CREDENTIAL[auth],
    }
