"""The plain way to make tasks of files: watchdog's observer, whose handler enqueues with Huey. As a process."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

_PROGRAM = """
import sys, time
from huey import RedisHuey
from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer
huey = RedisHuey("plain", url=sys.argv[1])
@huey.task()
def work(path): ...
class Handler(FileSystemEventHandler):
    def on_created(self, event): work(event.src_path)
    def on_moved(self, event): work(event.dest_path)
observer = Observer()
observer.schedule(Handler(), sys.argv[2])
observer.start()
print("ready", flush=True)
time.sleep(3600)
"""
#: The list that Huey's Redis storage keeps its tasks in.
QUEUE = "huey.redis.plain"


def start(url: str, folder: Path) -> subprocess.Popen[bytes]:
    """A watcher of `folder` that is ready."""
    words = [sys.executable, "-c", _PROGRAM, url, str(folder)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def until_still(arrived: Callable[[], int], wanted: int, still_s: float = 5.0) -> tuple[int, float]:
    """How many arrive until all have, or no more do for `still_s`; and the monotonic time of the last."""
    seen, changed = 0, time.monotonic()
    while seen < wanted and time.monotonic() - changed < still_s:
        time.sleep(0.05)
        if (now := arrived()) != seen:
            seen, changed = now, time.monotonic()
    return seen, changed
