"""The same task on plain Huey: `huey_consumer chaos.plain.huey`, for the row to compare with."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

from huey import RedisHuey

from chaos.body import Diary
from chaos.work_item import Stumble

#: Where the run keeps its files; the harness sets it, together with REDIS_URL.
FOLDER = Path(os.environ["BATON_CHAOS_FOLDER"])
LINES = FOLDER / "lines.log"

huey = RedisHuey("chaos", url=os.environ["REDIS_URL"], results=False)


@huey.task(context=True)
def work(seconds: float, child: str = "", *, task: Any) -> None:
    """As chaos/work.py has it; there is no lease, so nothing forbids a line."""
    diary = Diary(LINES, task.id, uuid.uuid4().hex, lambda moment_ns: True)
    if child:
        huey.enqueue(work.s(seconds / 4))
    diary.live(seconds, "stumble" if task.retries else "end")
    if task.retries:
        raise Stumble
