"""Disks that tests plug in and pull out: folders, mounted elsewhere by the real mount(8)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


class Disk:
    """A folder that stands for a disk: what lies on it stays while it is mounted nowhere."""

    def __init__(self, content: Path, point: Path) -> None:
        self.content, self.point = content, point
        content.mkdir(parents=True, exist_ok=True)
        point.mkdir(parents=True, exist_ok=True)

    def plug_in(self) -> None:
        """Mount it. Skips the test where that is not allowed."""
        done = _said("mount", "--bind", str(self.content), str(self.point))
        if done:
            pytest.skip(f"mounting is not possible here: {done}")

    def pull_out(self) -> None:
        """Unmount it, also while somebody looks at it."""
        said = _said("umount", "--lazy", str(self.point))
        assert not said, said


def unmount_all_below(folder: Path) -> None:
    """At the end of a test, whatever it left mounted."""
    for line in reversed(Path("/proc/self/mountinfo").read_text().splitlines()):
        point = line.split()[4]
        if point.startswith(f"{folder}/"):
            _said("umount", "--lazy", point)


def _said(*command: str) -> str:
    """What a command had to say against it; "" when it did its work."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except FileNotFoundError as error:
        return str(error)
    return done.stderr.strip() if done.returncode else ""
