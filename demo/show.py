"""`./baton demo`: one file travels from an Inbox to Done, then a consumer is killed and nothing is lost.

Everything is real but the API, which a stand-in on this machine plays.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from demo.instance import DemoError, Instance
from durable.connect import connect
from durable.records import Record, State
from durable.store import LeaseStore

_NOTE = """\
Meeting of Monday, 09:00

We ship on Thursday. The invoice of the printer is still open (420 EUR).
Somebody calls the landlord about the heating before Friday.
"""
_LONG = (
    'STANDIN: {"steps": [{"tool": "Bash", "input": {"command": "sleep 6; echo counted to six"}},'
    ' {"text": "The long task is done: the command said that it counted to six."}]}'
)
#: The queue's own events, in the words of the drawing in the README.
_SAID = {
    "submitted": "queued",
    "leased": "leased by a consumer",
    "started": "claude is running",
    "adopted": "taken over: the run goes on as if nothing had happened",
    "released": "given back, uncounted",
    "succeeded": "succeeded",
    "failed": "failed",
}
_PATIENCE_S = 60.0


def main(argv: Sequence[str] = ()) -> int:
    """Run the demo; 0 when everything came to the end that it promises, 130 after Ctrl-C."""
    signal.signal(signal.SIGTERM, _as_interrupt)
    instance = Instance()
    try:
        _run(instance)
    except KeyboardInterrupt:
        print("\nStopped. Cleaning up …")
        return 130
    except DemoError as error:
        print(f"\nThe demo came to no good end:\n{error}", file=sys.stderr)
        return 1
    finally:
        _let_finish(instance.stop)
    print("\nCleaned up: no process and no file of the demo is left.")
    print("Your own instance: ./baton up")
    return 0


def _as_interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _let_finish(act: Callable[[], None]) -> None:
    """Cleaning up is not interrupted by a second, impatient Ctrl-C."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    act()


def _run(instance: Instance) -> None:
    print("Baton demo: a private instance under PM2, with the real Claude Code.")
    print("No account is used: a STAND-IN on this machine answers in the place of Claude's API.\n")
    print("Starting it …", flush=True)
    begun = time.monotonic()
    instance.start()
    print(f"Up in {time.monotonic() - begun:.1f} s: Redis, a watcher, a scheduler, a consumer.\n")
    journey = Journey(instance)
    _file_to_done(instance, journey)
    _killed_consumer(instance, journey)


class Journey:
    """The queue's events of one task, printed as they happen, with the seconds since its beginning."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.client = connect(f"unix://{_socket(instance)}")
        self.store = LeaseStore(self.client, "{demo}:")
        self._last = "$"
        self._begun = 0.0

    def begin(self) -> None:
        """The clock of this part starts now."""
        newest: Any = self.client.xrevrange("{demo}:events", count=1)
        self._last = newest[0][0].decode() if newest else "0"
        self._begun = time.time()

    def say(self, words: str, at: float | None = None) -> None:
        """One step, with its time."""
        passed = (time.time() if at is None else at) - self._begun
        print(f"  {max(0.0, passed):6.2f} s  {words}", flush=True)

    def say_event(self, event: str, at: float) -> None:
        """One of the queue's events, where it is one for people."""
        if event in _SAID:
            self.say(_SAID[event], at)

    def events(self) -> Iterator[tuple[str, str, float]]:
        """(event, task id, unix s) as they come, and empty ones between them.

        Ends with DemoError after a minute.
        """
        until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until:
            found: Any = self.client.xread({"{demo}:events": self._last}, block=200)
            for entry_id, fields in found[0][1] if found else ():
                self._last = entry_id.decode()
                at = int(self._last.split("-")[0]) / 1000
                yield fields[b"event"].decode(), fields[b"id"].decode(), at
            yield "", "", 0.0
        raise DemoError("nothing more happened for a minute")

    def finished(self, task_id: str) -> Record:
        """The record of a task that must have succeeded."""
        record = self.store.record(task_id)
        if record is None or record.state is not State.SUCCEEDED:
            raise DemoError(f"the task ended as {record}")
        return record


def _socket(instance: Instance) -> Path:
    from settings import load

    return load(instance.folder / "baton.yaml", instance.environment()).run_dir / "redis.sock"


def _file_to_done(instance: Instance, journey: Journey) -> None:
    print("1. A file is dropped into Inbox/")
    journey.begin()
    dropped = instance.inbox / "meeting.md"
    dropped.write_text(_NOTE)
    journey.say(f"dropped {dropped.name}; the watcher waits 2 s until it is quiet")
    done, task_id = instance.done / dropped.name, ""
    for event, about, at in journey.events():
        if event == "submitted":
            task_id = about
            journey.say("claimed: moved out of reach into .claimed/", _claimed_at(dropped, about))
        journey.say_event(event, at)
        if event in ("failed", "cancelled") or done.exists():
            break
    journey.finished(task_id)
    journey.say(f"moved to Done/{done.name}, its result beside it")
    summary = done.with_name(done.name + ".summary.md").read_text()
    print("\n     " + summary.rstrip().replace("\n", "\n     ") + "\n")


def _claimed_at(dropped: Path, task_id: str) -> float:
    """When the file was renamed into the ledger, unix s."""
    try:
        return (dropped.parent / ".claimed" / task_id / dropped.name).stat().st_ctime
    except FileNotFoundError:  # put away already
        return time.time()


def _killed_consumer(instance: Instance, journey: Journey) -> None:
    print("2. A longer task; its consumer is killed with SIGKILL in the middle")
    journey.begin()
    instance.baton("add", _LONG)
    killed, task_id = False, ""
    for event, about, at in journey.events():
        journey.say_event(event, at)
        task_id = about if event == "submitted" else task_id
        if event == "started" and not killed:
            killed = True
            time.sleep(2)
            pid = _consumer_pid(instance)
            os.kill(pid, signal.SIGKILL)
            journey.say(f"kill -9 {pid}: the consumer is gone; PM2 starts it again")
        if event in ("succeeded", "failed", "cancelled"):
            break
    record = journey.finished(task_id)
    attempts = "one attempt" if record.attempt == 1 else f"{record.attempt} attempts"
    print(f"\n     Finished all the same: {attempts}, one result.")
    text = journey.store.result(task_id) or b""
    print(f"     {_text_of(text)}")


def _consumer_pid(instance: Instance) -> int:
    return int((instance.var / "locks" / "demo-consumer-1.lock").read_text().split()[0])


def _text_of(result: bytes) -> str:
    from durable.codec import loads

    return str(loads(result)["text"])
