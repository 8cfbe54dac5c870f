"""Ten thousand files at once, into a watcher that is frozen meanwhile: more events than anybody keeps."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.look import prompt
from durable.records import State
from tests.conftest import wait_until
from tests.site import Site

FILES = 10_000


@pytest.fixture
def site(short_tmp: Path) -> Iterator[Site]:
    inbox = {"path": "Inbox", "settle": 0, "prompt": "file {{ name }}"}
    made = Site(short_tmp, {"watchers": {"inbox": inbox}})
    made.start("redis")
    yield made
    made.close()


def drop(folder: Path) -> None:
    """Written in place, moved in from elsewhere, and renamed from the name of a half-done download, in turns."""
    (folder / "elsewhere").mkdir()
    for number in range(FILES):
        target = folder / "Inbox" / f"f{number}"
        first = (target, folder / "elsewhere" / f"f{number}", target.with_suffix(".part"))
        first[number % 3].write_text(str(number))
        if number % 3:
            first[number % 3].rename(target)


def test_ten_thousand_files_at_once_are_ten_thousand_tasks(
    site: Site, tell: Callable[[str], None]
) -> None:
    watcher = site.start("watch", "inbox")
    watcher.send_signal(signal.SIGSTOP)
    drop(site.folder)
    watcher.send_signal(signal.SIGCONT)
    store = site.store
    wait_until(lambda: store.counts()[State.QUEUED] >= FILES, 120, "every file is a task")
    wait_until(lambda: not list((site.folder / "Inbox").glob("f*")), 20, "every file is claimed")
    said = Counter(prompt(task) for task in store.page(State.QUEUED, limit=2 * FILES))
    tell(f"{FILES} files into a frozen watcher: {len(said)} names, {said.total()} tasks")
    assert said == Counter(f"file f{number}" for number in range(FILES))
