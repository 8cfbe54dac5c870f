"""A copy of the worked example, as its page says; only who answers for the API is another."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.acceptance.claude_pm2_site import ClaudePm2Site
from tests.acceptance.claude_site import claude_settings, dotenv
from tests.acceptance.standin_process import standin
from tests.conftest import ROOT

PAGE = ROOT / "examples" / "personal-assistant" / "README.md"


@contextmanager
def assistant() -> Iterator[ClaudePm2Site]:
    """The example, brought up; everything of it is gone at the end."""
    home = Path(tempfile.mkdtemp(prefix="bp-")).resolve()
    folder = home / "assistant"
    _copy_as_the_page_says(home)
    config = yaml.safe_load((folder / "baton.yaml").read_text())
    ours = claude_settings()
    config["claude"] |= {"command": ours["command"], "env": ours["env"]}
    config["watchers"]["inbox"]["settle"] = "100ms"
    with standin() as api:
        dotenv(folder, api)
        site = ClaudePm2Site(folder, config)
        try:
            site.baton("up")
            yield site
        finally:
            site.close()
            shutil.rmtree(home, ignore_errors=True)


def _copy_as_the_page_says(home: Path) -> None:
    """What the first block of the page does before it calls ./baton, with `~` in a folder of our own."""
    [block, *_] = re.findall(r"^```\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    lines = [line for line in block.splitlines() if line.startswith(("cp ", "mv "))]
    assert len(lines) == 2, block
    env = {"HOME": str(home), "PATH": os.environ["PATH"]}
    for line in lines:
        subprocess.run(["/bin/sh", "-ec", line], cwd=ROOT, env=env, check=True)
    assert (home / "assistant" / ".env").stat().st_mode & 0o777 == 0o600
