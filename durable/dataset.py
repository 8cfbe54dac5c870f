"""The state folder and the data in Redis name each other, so that nobody works on a wrong, old or empty copy."""

from __future__ import annotations

import json
import logging
import os
import uuid
from pathlib import Path
from typing import NamedTuple

from durable.errors import ServerError
from durable.store import LeaseStore
from durable.versions import FORMAT

log = logging.getLogger(__name__)


class Known(NamedTuple):
    """What `var/dataset.json` remembers: the data's id and the highest lease token seen."""

    id: str
    token: int


def bind(store: LeaseStore, var: Path, shown_url: str) -> None:
    """Name new data, or see that they are the ones that this state folder belongs to; older ones become newer.

    Raises ServerError with the remedy when they are not, and redis.RedisError when the server is away.
    """
    file = var / "dataset.json"
    found, made_by = _checked(store, file, shown_url, new_id=uuid.uuid4().hex)
    if made_by < FORMAT and store.migrate() < FORMAT:
        log.info("the data at %s were of format %d and are of %d now", shown_url, made_by, FORMAT)
    _write(file, found)


def check(store: LeaseStore, var: Path, shown_url: str) -> None:
    """As `bind`, but nothing is named, changed or written."""
    _checked(store, var / "dataset.json", shown_url, new_id="")


def _checked(store: LeaseStore, file: Path, shown_url: str, *, new_id: str) -> tuple[Known, int]:
    """What the data are, and of which format, once they are known to be ours or nobody's."""
    known = _read(file)
    found, made_by, token = store.dataset("" if known else new_id, FORMAT)
    if made_by > FORMAT:
        raise ServerError(
            f"the data at {shown_url} were written by a newer Baton (format {made_by}, this one knows "
            f"{FORMAT}); upgrade this machine"
        )
    if known and found != known.id:
        raise ServerError(_refusal(found, shown_url, file))
    if known and token < known.token:
        raise ServerError(
            f"the data at {shown_url} are an older copy: this folder has seen lease {known.token}, they know "
            f"{token} only, so tasks may run again; if that is meant, remove {file}"
        )
    return Known(found, token), made_by


def _refusal(found: str, shown_url: str, file: Path) -> str:
    what = (
        "belong to another state folder"
        if found
        else "are empty, but this folder has worked on others"
    )
    return (
        f"the data at {shown_url} {what}; tasks that are not finished would be left behind. Go back to the "
        f"Redis that was used before and let it finish (./baton down --drain); if that is done, remove {file}"
    )


def _read(file: Path) -> Known | None:
    try:
        fields = json.loads(file.read_text())
        return Known(str(fields["id"]), int(fields["token"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise ServerError(
            f"{file} cannot be read ({error}); remove it if the data are the right ones"
        ) from error


def _write(file: Path, known: Known) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(known._asdict()) + "\n")
    draft.replace(file)
