"""A consumer that baton.yaml no longer names: `up` asks it to go, and it goes when it has no task in hand.

Whether it goes is decided by whoever moves the file first: the consumer, which is done, or `up`, since the consumer
is named again. So a consumer that is wanted never goes unseen.
"""

from __future__ import annotations

import os
from pathlib import Path

#: The exit status of a consumer that has drained; PM2 does not start it again (ecosystem.config.js).
DRAINED = 79


class Mark:
    """What `up` and the consumer of one app tell each other, in `var/draining`."""

    def __init__(self, var: Path, app: str) -> None:
        self._asked = var / "draining" / app
        self._gone = self._asked.with_name(f"{app}.gone")

    def ask(self) -> None:
        """It is to claim nothing more, and to go after the task that it has. Raises OSError."""
        self._asked.parent.mkdir(mode=0o700, exist_ok=True)
        self._asked.touch(mode=0o600)

    def is_asked(self) -> bool:
        """Whether it is to go; asked around every task, and ten times quicker than by pathlib."""
        return os.path.exists(self._asked)

    def only_drains(self) -> None:
        """This process began when it was not named any more: it knows no queue that it could claim from."""
        self._asked.write_text("started to drain\n")

    def go(self) -> bool:
        """The consumer has nothing in hand: True when it goes, False when it is wanted after all."""
        try:
            self._asked.rename(self._gone)
        except FileNotFoundError:
            return False
        return True

    def withdraw(self) -> bool:
        """It is wanted again: False when it has gone, is about to or only drains, and must be started anew."""
        late = _size(self._asked) > 0
        self._asked.unlink(missing_ok=True)
        late = late or self._gone.exists()
        self._gone.unlink(missing_ok=True)
        return not late


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
