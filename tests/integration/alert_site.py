"""An instance that sends alerts to a webhook of the test's own, on a server that others have used before it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

from durable.records import Lease, State, Submission
from durable.store import LeaseStore
from tests.conftest import ROOT, wait_until
from tests.integration.web_server import WebServer
from tests.site import Site

#: Looks every 0.06 s; gathers storms for 1.2 s; an app is down, and Redis away, after as long.
QUICK = {"BATON_ALERTS_SCALE": "0.02"}
HOOK = "/hook/secret"


def is_alive(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class Nursery:
    """The process that alerts apps are forked from."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tests.integration.alert_nursery"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **QUICK},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def bear(self, env: dict[str, str], log: Path) -> int:
        """The pid of a new alerts app."""
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps({"env": env, "log": str(log)}), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """No more of them."""
        self._process.kill()
        self._process.wait()


class AlertSite(Site):
    """A Site whose alerts app is forked, and what it told."""

    def __init__(self, folder: Path, web: WebServer, nursery: Nursery, **more: Any) -> None:
        self.web, self._nursery, self._pid = web, nursery, 0
        alerts = {"webhook": "${HOOK}", "after": "0s", "timeout": "2s", **more.pop("alerts", {})}
        super().__init__(folder, {"consumers": 1, "alerts": alerts, **more}, QUICK)
        self.hook(f"{web.url}{HOOK}")

    @cached_property
    def store(self) -> LeaseStore:  # a Site's own reads the settings each time
        """The queue."""
        return super().store

    def hook(self, url: str, *lines: str) -> None:
        """Where alerts go, and what else stands in `.env`."""
        (self.folder / ".env").write_text("\n".join([f"HOOK={url}", *lines, ""]))

    def bear(self) -> None:
        """One more alerts app, at once."""
        self._pid = self._nursery.bear(self.env, self.log("alerts").path)

    def begin(self) -> None:
        """An alerts app that has had its first look: nothing is told of what was before that."""
        self.bear()
        wait_until(lambda: self.store.client.hget("{baton}:alerts", "on") == b"1")

    def end_alerts(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it, and wait until it has gone: PM2 starts no second copy either."""
        pid, self._pid = self._pid, 0
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            wait_until(lambda: not is_alive(pid))

    def close(self) -> None:
        """End everything."""
        self.end_alerts()
        super().close()

    def end(self, task_id: str, state: State = State.FAILED, source: str = "cli") -> None:
        """One task that comes to this end."""
        store = self.store
        store.submit([Submission(id=task_id, body=b"{}", source=source)])
        lease = store.claim("test", task_id, ("default",), 30_000)
        assert isinstance(lease, Lease)
        store.settle(lease, state, outcome="denied", reason="no Bash")

    def told(self) -> list[dict[str, Any]]:
        """All that the webhook was sent, in order."""
        return [json.loads(asked.body) for asked in list(self.web.asked) if asked.path == HOOK]

    def quiet(self, count: int) -> None:
        """So many deliveries are written down: a kill repeats none of them."""
        wait_until(lambda: self.store.client.llen("{baton}:alerts:sent") == count)

    def of(self, kind: str) -> list[str]:
        """The states of what was told of one kind, in order."""
        return [one["state"] for one in self.told() if one["kind"] == kind]

    def named(self) -> set[str]:
        """The ids of the tasks that were told of."""
        return {task["id"] for one in self.told() for task in one["tasks"]}
