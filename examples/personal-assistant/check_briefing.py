"""Say whether there is a new briefing: `python3 check_briefing.py FOLDER`. What it prints, Claude is told."""

import sys
import time
from pathlib import Path

NEW_S = 3600
LEAST_CHARACTERS = 80


def problem(folder: Path) -> str:
    """What is wrong, or nothing."""
    files = sorted(folder.glob("*.md"), key=lambda file: file.stat().st_mtime)
    if not files or time.time() - files[-1].stat().st_mtime > NEW_S:
        return f"There is no new file in {folder}."
    if len(files[-1].read_text().strip()) < LEAST_CHARACTERS:
        return f"{files[-1]} is too short to be a briefing."
    return ""


if __name__ == "__main__":
    sys.exit(problem(Path(sys.argv[1])) or 0)
