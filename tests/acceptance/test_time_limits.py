"""The limits of time with the real CLI: a long tool call lives, an API that hangs is silent, a tool has its limit."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from durable.records import State
from tests.acceptance.claude_site import (
    ClaudeSite,
    bash,
    claude_settings,
    dotenv,
    marked,
    say,
    script,
)
from tests.acceptance.standin_process import standin

# Longer than claude takes to begin on a busy machine, which is a silence as well.
SILENCE_S = 10


@pytest.fixture
def site(short_tmp: Path) -> Iterator[ClaudeSite]:
    with standin() as api:
        dotenv(short_tmp, api)
        claude = claude_settings(max_silence=f"{SILENCE_S}s", retries=0)
        own = ClaudeSite(short_tmp, {"consumers": 3, "claude": claude})
        own.start("redis")
        for number in "123":
            own.launch("consumer", number)
        yield own
        own.close()


def test_a_tool_at_work_is_no_silence_and_a_hanging_api_is_one(site: ClaudeSite) -> None:
    wait = f"python3 -c 'import time; time.sleep({SILENCE_S + 2})'; echo woke"
    # Another try for a claude that takes longer than that to begin: it changes nothing of what is shown.
    long = site.submit(script(bash(wait), say("done")), retries=1)
    hangs = site.submit(script({"text": "I begin"}, {"hang": "mid"}))
    forever = script(bash("mkfifo never && cat never"), say("it ended"))
    stuck = site.submit(forever, max_tool_runtime="3s", max_silence="60s")
    assert site.finish(long, 90).state is State.SUCCEEDED
    assert "woke" in site.tool_output(long)
    silent, over = site.finish(hangs), site.finish(stuck)
    assert (silent.state, silent.outcome) == (State.FAILED, "silent")
    assert (over.state, over.outcome) == (State.FAILED, "timed_out")
    assert "its tool Bash was at work for `max_tool_runtime`" in over.reason
    assert not marked(f"BATON_ATTEMPT={stuck}")
