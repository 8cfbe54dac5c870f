"""A wrong `command:` closes the gate with one remedy; a consumer that starts with a right one opens it."""

import os
from pathlib import Path

from durable.records import State
from durable.remedies import remedy
from tests.conftest import wait_until
from tests.site import Site


def test_a_consumer_that_starts_with_another_command_opens_the_gate(tmp_path: Path) -> None:
    site = Site(Path(os.path.realpath(tmp_path)), {"claude": {"command": "nowhere/claude"}})
    try:
        site.start("redis")
        site.start("consumer", "1")
        task_id = site.python("from tasks import claude; print(claude('Hi').id)").strip()
        wait_until(site.store.gate, what="the gate closes")
        [entry] = site.store.gate()
        assert entry.reason == "claude missing"
        assert "`command: " in remedy(entry)
        assert "npm" not in remedy(entry)
        assert "correct" not in entry.why
        site.wait_for(task_id, State.QUEUED)
        site.store.cancel(task_id)
        site.stop("consumer-1")
        site.configure({"claude": {"command": "/bin/true"}})
        site.start("consumer", "1")
        assert site.store.gate() == []
    finally:
        site.close()
