"""Watcher, poller and scheduler are killed again and again while files, items and ticks come steadily."""

from __future__ import annotations

import datetime as dt
import itertools
import os
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

import pytest

from cli.look import prompt
from durable.records import State
from tests.conftest import wait_until
from tests.site import Site

KILLS = 60
#: Starting takes half a second: some are killed before they work, most at work.
LONGEST_LIFE_S = 2.0
HALF = "half of it"
PRODUCERS = (("watch", "inbox"), ("poll", "items"), ("scheduler", ""))


class Stream(threading.Thread):
    """Drops files and lists items, some a second, until it is told to stop.

    Some files are written in place, slowly: there are always three of which only the first half is there.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder, self.files, self.items, self.slow = folder, 0, 0, 0
        self._halves: deque[TextIO] = deque()
        self.ended = threading.Event()
        (folder / "Inbox").mkdir()
        (folder / "items").touch()

    def run(self) -> None:
        for number in itertools.count():
            if self.ended.wait(0.15):
                break
            draft = self.folder / "draft"
            draft.write_text(f"file {number}")
            os.rename(draft, self.folder / "Inbox" / f"f{number}.txt")
            self.files = number + 1
            with (self.folder / "items").open("a") as items:
                items.write(f'{{"id": "i{number}"}}\n')
            self.items = number + 1
            if number % 3 == 0:
                self._write_slowly(3)
        self._write_slowly(0)

    def _write_slowly(self, open_files: int) -> None:
        if open_files:
            half: TextIO = (self.folder / "Inbox" / f"s{self.slow}.txt").open("w")
            half.write(HALF)
            half.flush()
            self._halves.append(half)
            self.slow += 1
        while len(self._halves) > open_files:
            with self._halves.popleft() as half:
                half.write(HALF)


@pytest.fixture
def site(short_tmp: Path) -> Iterator[Site]:
    inbox = {"path": "Inbox", "settle": 0, "prompt": "file {{ name }} {{ size }}"}
    items = {"every": "1s", "command": ["cat", "items"], "prompt": "item {{ id }}"}
    often = {"every": "1s", "catch_up": "all", "overlap": "allow", "prompt": "tick {{ tick }}"}
    made = Site(
        short_tmp,
        {
            "watchers": {"inbox": inbox},
            "pollers": {"items": items},
            "schedules": {"often": often},
        },
    )
    made.start("redis")
    yield made
    made.close()


def test_producers_that_are_killed_sixty_times_lose_nothing_and_double_nothing(
    site: Site, tell: Callable[[str], None]
) -> None:
    seed = random.randrange(1 << 32)
    chance, stream = random.Random(seed), Stream(site.folder)
    killed: Counter[str] = Counter()
    stream.start()
    alive = {pair: site.launch(*pair) for pair in PRODUCERS}
    due = {pair: time.monotonic() + chance.uniform(0, LONGEST_LIFE_S) for pair in PRODUCERS}
    while due:
        pair = min(due, key=lambda one: due[one])
        time.sleep(max(0.0, due.pop(pair) - time.monotonic()))
        alive[pair].kill()
        alive[pair].wait()
        killed[pair[0]] += 1
        alive[pair] = site.launch(*pair)
        if killed[pair[0]] < KILLS:
            due[pair] = time.monotonic() + chance.uniform(0, LONGEST_LIFE_S)
    stream.ended.set()
    stream.join()

    store = site.store

    def prompts() -> list[str]:
        return [prompt(task) for task in store.page(State.QUEUED, limit=100_000)]

    wanted = {f"file f{n}.txt {len(f'file {n}')}" for n in range(stream.files)}
    wanted |= {f"file s{n}.txt {len(HALF * 2)}" for n in range(stream.slow)}
    wanted |= {f"item i{n}" for n in range(stream.items)}
    wait_until(lambda: wanted <= set(prompts()), 60, f"everything is a task (seed {seed})")
    said = Counter(prompts())
    names = [text.removeprefix("tick ") for text in said if text.startswith("tick ")]
    ticks = sorted(dt.datetime.fromisoformat(name) for name in names)
    owed = int((ticks[-1] - ticks[0]).total_seconds()) + 1
    lost = len(wanted - set(said)) + owed - len(ticks)
    doubled = sum(count - 1 for count in said.values())
    tell(
        f"{sum(killed.values())} kills of three producers, {stream.files} files, {stream.slow} slow ones,"
        f" {stream.items} items, {len(ticks)} ticks: lost {lost}, doubled {doubled} (seed {seed})"
    )
    assert (lost, doubled) == (0, 0), f"seed {seed}"
