"""A copy of the worked example, as its page says; only who answers for the API is another."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.acceptance.claude_pm2_site import ClaudePm2Site
from tests.acceptance.claude_site import claude_settings, dotenv
from tests.acceptance.standin_process import standin
from tests.conftest import ROOT

EXAMPLE = ROOT / "examples" / "personal-assistant"


@contextmanager
def assistant() -> Iterator[ClaudePm2Site]:
    """The example, brought up; everything of it is gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="bp-")).resolve()
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True)
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
            shutil.rmtree(folder, ignore_errors=True)
