"""A watched folder that is unmounted, replaced or removed under a running watcher: noticed, told, watched again."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from durable.problems import Problem, Problems
from durable.records import Record, State
from tests.conftest import ROOT, wait_until
from tests.integration.mounting import Disk, unmount_all_below
from tests.integration.test_cli_verbs import baton
from tests.site import Site


@pytest.fixture
def site(short_tmp: Path) -> Iterator[Site]:
    site = Site(short_tmp, {"watchers": {"inbox": watcher("Inbox")}})
    site.start("redis")
    yield site
    site.close()
    unmount_all_below(short_tmp)


@pytest.fixture
def disk(site: Site) -> Disk:
    """Mounted where the Inbox is."""
    found = Disk(site.folder / "disk", site.folder / "Inbox")
    found.plug_in()
    return found


def watcher(path: str, **more: Any) -> dict[str, Any]:
    """An entry of baton.yaml."""
    prompt = {} if "task" in more else {"prompt": "Read {{ path }}"}
    return {"path": path, "done": "Done", "failed": "Failed", "settle": "50ms", **prompt, **more}


def problem(site: Site) -> Problem | None:
    """What the watcher says that stands in its way."""
    store = site.store
    found = Problems(store.client, store.prefix).standing()
    return next((one for one in found if one.subject == "watcher:inbox"), None)


def told(site: Site, words: str) -> Problem:
    """The problem, once it stands and names these words."""
    wait_until(lambda: words in getattr(problem(site), "text", ""), what=f"it says: {words}")
    found = problem(site)
    assert found
    return found


def is_well(site: Site) -> None:
    wait_until(lambda: problem(site) is None, what="nothing stands in its way")


def tasks(site: Site, count: int) -> list[Record]:
    """So many waiting tasks, once they are there."""
    wait_until(lambda: len(site.store.page(State.QUEUED)) == count, what=f"{count} tasks")
    return site.store.page(State.QUEUED)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_disk_that_is_pulled_out_is_told_and_its_empty_mount_point_is_not_taken_for_it(
    site: Site, disk: Disk
) -> None:
    site.start("watch", "inbox")
    (disk.content / "a.txt").write_text("x")
    [task] = tasks(site, 1)
    assert problem(site) is None
    disk.pull_out()
    assert f"is not mounted at {disk.point}; mount it" in told(site, "is not mounted").text
    (disk.point / "under.txt").write_text("x")
    status = baton(site, "status")
    assert "watcher:inbox on" in status
    assert "is not mounted at" in status
    [listed] = json.loads(baton(site, "status", "--json"))["problems"]
    assert (listed["subject"], listed["stale"]) == ("watcher:inbox", False)
    disk.plug_in()
    is_well(site)
    (disk.content / "b.txt").write_text("x")
    tasks(site, 2)
    assert (disk.content / ".claimed" / task.id / "a.txt").exists()
    disk.pull_out()
    assert names(disk.point) == {"under.txt"}, "nothing was claimed beneath the mount"


def test_a_watcher_that_starts_before_its_disk_waits_for_it(site: Site, disk: Disk) -> None:
    site.start("watch", "inbox")
    assert site.stop("watch-inbox") == 0
    disk.pull_out()
    (disk.point / "under.txt").write_text("x")
    (disk.content / "a.txt").write_text("x")
    site.start("watch", "inbox")
    told(site, "is not mounted")
    assert site.store.page(State.QUEUED) == []
    disk.plug_in()
    is_well(site)
    tasks(site, 1)


def test_a_folder_on_a_disk_that_is_away_is_not_made_on_what_lies_beneath(site: Site) -> None:
    disk = Disk(site.folder / "disk", site.folder / "mnt")
    site.configure({"watchers": {"inbox": watcher("mnt/Inbox")}})
    disk.plug_in()
    site.start("watch", "inbox")
    assert site.stop("watch-inbox") == 0
    disk.pull_out()
    site.start("watch", "inbox")
    told(site, "is not mounted")
    assert names(disk.point) == set()


def test_who_wants_the_folder_where_it_now_is_says_so(site: Site, disk: Disk) -> None:
    site.start("watch", "inbox")
    disk.pull_out()
    remedy = told(site, "is not mounted").text.rpartition("rm ")[2]
    (disk.point / "a.txt").write_text("x")
    Path(remedy).unlink()
    is_well(site)
    tasks(site, 1)


def test_a_disk_that_is_mounted_over_a_running_inbox_is_watched(site: Site) -> None:
    site.start("watch", "inbox")
    disk = Disk(site.folder / "disk", site.folder / "Inbox")
    (disk.content / "a.txt").write_text("x")
    disk.plug_in()
    tasks(site, 1)
    assert problem(site) is None
    (disk.content / "b.txt").write_text("x")
    tasks(site, 2)


def test_nothing_is_put_away_beneath_a_disk_that_is_not_there(site: Site) -> None:
    disk = Disk(site.folder / "disk", site.folder / "Done")
    disk.plug_in()
    site.start("watch", "inbox")
    finish(site, "a.txt")
    wait_until(lambda: names(disk.content) == {"a.txt"}, what="the first is put away")
    disk.pull_out()
    finish(site, "b.txt")
    told(site, f"is not mounted at {disk.point}")
    assert names(disk.point) == set()
    disk.plug_in()
    wait_until(lambda: names(disk.content) == {"a.txt", "b.txt"}, what="the second is, too")
    is_well(site)


def finish(site: Site, name: str) -> None:
    """A file is dropped, and its task succeeds."""
    (site.folder / "Inbox" / name).write_text("x")
    [task] = tasks(site, 1)
    lease: Any = site.store.claim("tester", name, [task.queue], 60_000)
    assert lease.id == task.id
    assert site.store.settle(lease, State.SUCCEEDED, outcome="succeeded")


def test_a_folder_that_is_removed_is_told_and_watched_again_when_it_is_made_again(
    site: Site,
) -> None:
    site.start("watch", "inbox")
    shutil.rmtree(site.folder / "Inbox")
    told(site, "it is gone; make it again")
    (site.folder / "Inbox").mkdir()
    is_well(site)
    (site.folder / "Inbox/a.txt").write_text("x")
    tasks(site, 1)


def test_a_folder_in_the_place_of_another_is_watched_and_brings_its_own_claims(site: Site) -> None:
    site.start("watch", "inbox")
    (site.folder / "Inbox/a.txt").write_text("x")
    [task] = tasks(site, 1)
    new = site.folder / "New"
    (new / ".claimed" / ("0" * 32)).mkdir(parents=True)
    (new / ".claimed" / ("0" * 32) / "unsent.txt").write_text("x")
    (site.folder / "Inbox").rename(site.folder / "Old")
    new.rename(site.folder / "Inbox")
    assert {one.id for one in tasks(site, 2)} == {task.id, "0" * 32}
    (site.folder / "Inbox/b.txt").write_text("x")
    tasks(site, 3)


TASKS = """\
from tasks import huey

@huey.task()
def read(path):
    return open(path).read()
"""


@pytest.mark.parametrize("kind", ["python", "claude"])
def test_a_task_whose_file_is_on_a_disk_that_is_away_is_held_and_goes_on_when_it_is_back(
    site: Site, disk: Disk, kind: str
) -> None:
    if kind == "python":
        (site.folder / "mine.py").write_text(TASKS)
        site.configure({"watchers": {"inbox": watcher("Inbox", task="read")}, "tasks": ["mine"]})
    site.start("watch", "inbox")
    (disk.content / "a.txt").write_text("precious")
    [task] = tasks(site, 1)
    disk.pull_out()
    told(site, "is not mounted")
    site.start("consumer", "1")
    held = site.wait_for(task.id, State.HELD)
    assert "its file is not there" in held.reason
    assert f"{disk.point}/.claimed/{task.id}/a.txt" in held.reason
    disk.plug_in()
    if kind == "python":
        site.wait_for(task.id, State.SUCCEEDED)
        wait_until((site.folder / "Done/a.txt").exists, what="it is put away")
    else:
        gone_on = "no longer held"
        wait_until(lambda: _state(site, task.id) is not State.HELD, what=gone_on)


def _state(site: Site, task_id: str) -> State | None:
    record = site.store.record(task_id)
    return record.state if record else None


# -- the limits of inotify


def test_where_the_limit_of_inotify_is_reached_the_folder_is_polled_until_it_is_raised(
    site: Site,
) -> None:
    """The kernel counts instances for each user namespace as well; in one of its own the limit is ours to set."""
    limit = "/proc/sys/user/max_inotify_instances"
    inside = f'echo 0 > {limit} && exec "$@"'
    app = [sys.executable, str(ROOT / "app.py"), "watch", "inbox"]
    alone = ["unshare", "--user", "--map-root-user", "sh", "-c", inside, "sh"]
    if subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("no user namespace can be made here")
    log = site.log("watch-inbox")
    with log.open("ab") as out:
        process = subprocess.Popen([*alone, *app], env=site.env, cwd=ROOT, stdout=out, stderr=out)
    site.processes["watch-inbox"] = process
    assert "sudo sysctl -w fs.inotify.max_user_instances=" in told(site, "limit of inotify").text
    (site.folder / "Inbox/a.txt").write_text("x")
    tasks(site, 1)
    enter = ["nsenter", "--user", f"--target={process.pid}", "sh", "-c", f"echo 100 > {limit}"]
    subprocess.run(enter, check=True)
    is_well(site)
    assert "file events are there again" in log.read_text()
    (site.folder / "Inbox/b.txt").write_text("x")
    tasks(site, 2)
