"""A site whose consumers run the real Claude Code against the stand-in."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from durable.records import Record, State
from tests.acceptance.claude_cli import find_claude
from tests.acceptance.standin_process import StandInProcess
from tests.conftest import wait_until
from tests.site import Site

FINISHED = (State.SUCCEEDED, State.FAILED, State.CANCELLED)


def claude_settings(**more: Any) -> dict[str, Any]:
    """The `claude:` section: the binary of the tests, and the variables that lead it to the stand-in."""
    return {
        "command": str(find_claude()),
        "allowed_tools": ["Bash", "Read"],
        "env": [
            "ANTHROPIC_API_KEY",
            "ANTHROPIC_BASE_URL",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
            "CLAUDE_CODE_OAUTH_TOKEN",
        ],
        **more,
    }


def dotenv(
    folder: Path, api: StandInProcess, credential: str = "ANTHROPIC_API_KEY=made-up"
) -> None:
    """The `.env` beside baton.yaml."""
    file = folder / ".env"
    file.write_text(
        f"ANTHROPIC_BASE_URL={api.url}\nCLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1\n{credential}\n"
    )
    file.chmod(0o600)


class ClaudeSite(Site):
    """Adds what tests ask about Claude tasks."""

    def submit(self, prompt: str, **options: Any) -> str:
        """Enqueue from a Python shell of the user's; the task's id."""
        return self.python(
            f"from tasks import claude\nprint(claude({prompt!r}, **{options!r}).id)"
        ).strip()

    def finish(self, task_id: str, seconds: float = 60) -> Record:
        """The record, once it is final."""
        store = self.store

        def final() -> bool:
            record = store.record(task_id)
            return record is not None and record.state in FINISHED

        wait_until(final, seconds, f"{task_id} is final")
        record = store.record(task_id)
        assert record is not None
        return record

    def text(self, task_id: str) -> str:
        """The text of a task's result."""
        from durable.codec import loads

        return str(loads(self.store.result(task_id) or b"null")["text"])

    def attempt(self, task_id: str, number: int = 1) -> Path:
        """The folder of an attempt."""
        return self.folder / "var" / "attempts" / task_id / str(number)

    def tool_output(self, task_id: str, number: int = 1) -> str:
        """What the tools of an attempt answered, joined."""
        lines = (self.attempt(task_id, number) / "stream.jsonl").read_text().splitlines()
        contents = [json.loads(line).get("message", {}).get("content", []) for line in lines]
        blocks = [b for content in contents if isinstance(content, list) for b in content]
        return "\n".join(str(b.get("content")) for b in blocks if b.get("type") == "tool_result")


def script(*steps: dict[str, Any], **top: Any) -> str:
    """A prompt that tells the stand-in what to answer."""
    return "STANDIN: " + json.dumps({"steps": list(steps), **top} if steps else top)


def bash(command: str) -> dict[str, Any]:
    """One call of the Bash tool."""
    return {"tool": "Bash", "input": {"command": command, "description": "a step of the test"}}


def say(text: str) -> dict[str, str]:
    """The closing words."""
    return {"text": text}


def marked(mark: str) -> list[int]:
    """Live processes whose environment holds `mark`; zombies have none."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]
