"""Which run a consumer has in hand, in a file of its own: a restarted copy holds it on before Redis answers."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from consumers import handle


class Grip(NamedTuple):
    """A run, and the token that its runner obeys."""

    run: handle.Handle
    token: int


def _file(var: Path, name: str) -> Path:
    return var / "runs" / f"{name}.json"


@contextlib.contextmanager
def on(var: Path, name: str, folder: Path, token: int) -> Iterator[None]:
    """Note the run while it is followed. A note that cannot be written costs the hold and nothing else."""
    file = _file(var, name)
    with contextlib.suppress(OSError):
        file.parent.mkdir(mode=0o700, exist_ok=True)
        draft = file.with_suffix(".new")
        draft.write_text(json.dumps({"folder": str(folder), "token": token}))
        draft.replace(file)
    yield
    file.unlink(missing_ok=True)  # not when this process leaves the run behind


def read(var: Path, name: str) -> Grip | None:
    """What a former copy of this consumer had in hand; None when nothing is noted or nothing lives."""
    try:
        noted = json.loads(_file(var, name).read_text())
        run = handle.attach(Path(noted["folder"]))
        return None if run is None else Grip(run, int(noted["token"]))
    except (OSError, ValueError, KeyError):
        return None
