"""Every block of Python in docs/tasks.md runs: those of the module in a consumer, those of the shell in turn."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.claude_site import ClaudeSite, claude_settings, dotenv
from tests.acceptance.standin_process import standin
from tests.conftest import ROOT

BLOCK = re.compile(r"^```python\n# (my_tasks\.py|shell)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGE = (ROOT / "docs" / "tasks.md").read_text()


def blocks(where: str) -> list[str]:
    return [code for place, code in BLOCK.findall(PAGE) if place == where]


@pytest.fixture
def site(short_tmp: Path) -> Iterator[ClaudeSite]:
    (short_tmp / "my_tasks.py").write_text("\n".join(blocks("my_tasks.py")))
    with standin() as api:
        dotenv(short_tmp, api)
        config = {"consumers": 1, "claude": claude_settings(), "tasks": ["my_tasks"]}
        own = ClaudeSite(short_tmp, config)
        own.start("redis")
        own.start("consumer", "1")
        yield own
        own.close()


def test_what_the_page_shows_works_as_it_stands(site: ClaudeSite) -> None:
    shown = blocks("shell")
    assert len(shown) == PAGE.count("# shell\n") >= 3
    assert PAGE.count("```python") == len(shown) + len(blocks("my_tasks.py"))
    said = site.python(f"import sys; sys.path.insert(0, {str(site.folder)!r})\n" + "\n".join(shown))
    assert "stand-in answer" in said
    assert said.endswith("3 words in 2 texts\n")
