"""Records what a version of Baton leaves in Redis and in its folder, for the test of upgrades.

    python tests/data/upgrades/record.py COMMIT

plays `scene.py` with the code of COMMIT, with this checkout's Python and its packages, and writes
`<commit>.json`. Record a new one when a version that people have used is about to change what is stored.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main(commit: str) -> None:
    """Unpack the commit, play the scene in it, keep what is left."""
    name = _git("rev-parse", "--short", commit).decode().strip()
    with tempfile.TemporaryDirectory(prefix="bt-") as folder:
        root, site = Path(folder, "code"), Path(folder, "site")
        root.mkdir()
        site.mkdir()
        subprocess.run(["tar", "-x", "-C", root], input=_git("archive", commit), check=True)
        (root / "scene.py").write_bytes((HERE / "scene.py").read_bytes())
        subprocess.run(
            [sys.executable, "-P", "scene.py", str(site), str(HERE / f"{name}.json")],
            cwd=root,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(root), "TZ": "UTC"},
            check=True,
        )


def _git(*words: str) -> bytes:
    return subprocess.run(
        ["git", *words], cwd=HERE.parents[2], capture_output=True, check=True
    ).stdout


if __name__ == "__main__":
    main(*sys.argv[1:])
