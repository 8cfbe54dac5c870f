"""Submissions whose body a test can read, in place of Huey's messages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from durable.errors import UnknownTaskError
from durable.records import Submission
from durable.store import LeaseStore
from producers.recipe import Makers


def makers(base: Path) -> Makers:
    """Bodies are JSON: prompt, options and context of a Claude task, name and args of a Python one."""

    def claude(prompt: str, **fields: Any) -> Submission:
        said = {
            "prompt": prompt,
            "options": fields.pop("options"),
            "context": fields.pop("context"),
        }
        return Submission(body=json.dumps(said).encode(), name="claude", kind="claude", **fields)

    def call(name: str, args: Any = (), **fields: Any) -> Submission:
        if name != "known":
            raise UnknownTaskError(name)
        return Submission(
            body=json.dumps({"name": name, "args": args}).encode(),
            name=name,
            **({"id": ""} | fields),
        )

    return Makers(claude, call, base)


def body(store: LeaseStore, task_id: str) -> dict[str, Any]:
    """What the task of this id was told."""
    record = store.record(task_id)
    assert record is not None
    said: dict[str, Any] = json.loads(record.body)
    return said
