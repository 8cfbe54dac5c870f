"""The consumer process: a Huey consumer whose worker leases tasks, and whose housekeeper reaps lost leases."""

from __future__ import annotations

import logging
import os
import random
import signal
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis
from huey.consumer import Consumer, Scheduler, Worker

from consumers.heartbeat import Heartbeat
from consumers.times import GRACE_MS, LEASE_MS, REAP_S
from durable import identity
from durable.connect import connect
from durable.queue import BatonHuey
from durable.records import Lease
from durable.settlement import Settlement
from durable.store import LeaseStore

if TYPE_CHECKING:
    from settings import Settings

log = logging.getLogger(__name__)

_BLOCK_S = 5.0  # nobody waits longer than this on a marker that may be lost
_RECONNECT_CAP_S = 5.0
_COMPLAIN_EVERY_S = 60.0
_STOPPING_LOOK_S = 0.5
#: How long a plain Python task may go on after a stop; PM2 kills at 30 s.
STOP_PATIENCE_S = 20.0


class LeaseWorker(Worker):
    """Leases one task at a time, runs it, and settles it, however long Redis is away meanwhile."""

    def __init__(
        self,
        *args: Any,
        heartbeat: Heartbeat,
        queues: tuple[str, ...],
        stopping: Path,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.heartbeat, self.queues, self.stopping = heartbeat, queues, stopping
        self.owner = heartbeat.owner
        self._nonce = uuid.uuid4().hex
        self._failures = 0
        self._complained = float("-inf")

    def loop(self, now: Any = None) -> None:
        """One claim, and the attempt that it leads to; none while `down` is at work."""
        if self.stopping.exists():
            self.stop_flag.wait(_STOPPING_LOOK_S)
            return
        try:
            found = self.huey.store.claim(self.owner, self._nonce, self.queues, LEASE_MS)
            self._failures = 0
            if isinstance(found, tuple):
                self._wait(found[0])
                return
        except redis.RedisError as error:
            self._back_off("Redis does not answer, so nothing is claimed", error)
            return
        self._nonce = uuid.uuid4().hex  # the next claim is another one
        self._attempt(found)

    def _wait(self, due_in_ms: int) -> None:
        """Until somebody marks a queue, a task is due, or five seconds are over."""
        seconds = _BLOCK_S if due_in_ms < 0 else min(_BLOCK_S, due_in_ms / 1000 + 0.001)
        self.huey.store.wait_for_work(self.queues, self.owner, seconds)

    def _attempt(self, lease: Lease) -> None:
        self.heartbeat.hold(lease)
        log.info("task %s: attempt %d of %s", lease.id, lease.attempt, lease.name or "a message")
        try:
            settlement = self.huey.attempt(lease)
            if settlement.surprise:
                log.error("task %s: its code raised", lease.id, exc_info=settlement.surprise)
            self._settle(settlement)
        finally:
            self.heartbeat.let_go(lease)

    def _settle(self, settlement: Settlement) -> None:
        """Write the end of the attempt; the lease is beaten for until that is done."""
        lease = settlement.lease
        while True:
            try:
                written = settlement.settle(self.huey.store)
                break
            except redis.RedisError as error:
                self._back_off(f"Redis does not answer, so the end of task {lease.id} waits", error)
                if self.stop_flag.is_set() and self._failures > 3:
                    log.error(
                        "task %s: stopping before its end could be written; it will run again",
                        lease.id,
                    )
                    return
        if written:
            reason = f" ({settlement.reason})" if settlement.reason else ""
            log.info(
                "task %s: attempt %d: %s%s", lease.id, lease.attempt, settlement.outcome, reason
            )
        else:
            log.warning("task %s: the lease was lost; this attempt's end is refused", lease.id)

    def _back_off(self, what: str, error: Exception) -> None:
        self._failures += 1
        if time.monotonic() - self._complained > _COMPLAIN_EVERY_S:
            log.warning("%s (%s); trying again", what, error)
            self._complained = time.monotonic()
        delay = min(_RECONNECT_CAP_S, 0.1 * 2 ** min(self._failures, 6)) * random.uniform(0.5, 1)
        self.stop_flag.wait(delay)


class Housekeeper(Scheduler):
    """In the place of Huey's scheduler (claim moves due tasks itself): looks for leases nobody beats for."""

    def loop(self, now: Any = None) -> None:
        """One look, then five seconds with jitter."""
        try:
            for task_id, what in self.huey.store.reap(GRACE_MS):
                log.warning("task %s: its consumer is not heard of: %s", task_id, what)
        except redis.RedisError as error:
            log.debug("reap: %s", error)  # the worker says so, once a minute
        self.stop_flag.wait(REAP_S * random.uniform(0.8, 1.2))


class LeaseConsumer(Consumer):
    """One worker thread, one housekeeper, one heartbeat."""

    worker_class = LeaseWorker
    scheduler_class = Housekeeper

    def __init__(
        self, huey: BatonHuey, heartbeat: Heartbeat, queues: tuple[str, ...], stopping: Path
    ) -> None:
        self.heartbeat, self.queues, self.stopping = heartbeat, queues, stopping
        super().__init__(huey, workers=1, periodic=False, shutdown_timeout=STOP_PATIENCE_S)
        gentle = (False, True)  # both signals stop gracefully: PM2 sends INT, an init system TERM
        self._signal_actions = {signal.SIGINT: gentle, signal.SIGTERM: gentle}

    def _create_worker(self) -> LeaseWorker:
        return self.worker_class(
            huey=self.huey,
            stop_flag=self.stop_flag,
            default_delay=self.default_delay,
            max_delay=self.max_delay,
            backoff=self.backoff,
            heartbeat=self.heartbeat,
            queues=self.queues,
            stopping=self.stopping,
        )

    def stop(self, graceful: bool = False) -> None:
        """Stop claiming, wake an idle worker, wait for a busy one, and give back what it still holds."""
        self.stop_flag.set()
        _quietly(lambda: self.heartbeat.store.nudge(self.heartbeat.owner))
        super().stop(graceful)
        for held in self.heartbeat.in_hand():
            log.warning("task %s: not finished in time; given back, uncounted", held.lease.id)
            _quietly(partial(self._give_back, held.lease))

    def _give_back(self, lease: Lease) -> bool:
        return self.heartbeat.store.release(
            lease.id, lease.token, outcome="interrupted", reason="the consumer was stopped"
        )


def _quietly(act: Callable[[], object]) -> None:
    """On the way out, an absent Redis is no reason to stay: leases run out by themselves."""
    try:
        act()
    except redis.RedisError as error:
        log.warning("Redis does not answer on the way out: %s", error)


def run(settings: Settings, name: str, ready: Callable[[], None]) -> int:
    """Take back what a former copy of this consumer left, then work until told to stop."""
    import tasks
    from consumers.attempt import Runs
    from consumers.leftovers import take_back

    logging.getLogger("huey").setLevel(
        logging.CRITICAL
    )  # the worker says it, once and in our words
    owner = identity.owner(settings.var, f"consumer-{name}")
    tasks.load_user_tasks()
    heartbeat = Heartbeat(
        LeaseStore(connect(settings.redis.url, retries=0), tasks.huey.store.prefix), owner
    )
    consumer = LeaseConsumer(
        tasks.huey, heartbeat, settings.group_of(int(name)).queues, settings.var / "stopping"
    )
    tasks.claude.bind(Runs(settings, tasks.huey.store, heartbeat, consumer.stop_flag).attempt)
    _when_redis_answers(lambda: take_back(settings, tasks.huey.store, owner))
    heartbeat.start()
    ready()
    consumer.run()
    return os.EX_OK


def _when_redis_answers(act: Callable[[], object]) -> None:
    """A consumer that starts before Redis waits for it."""
    delay, said = 0.1, False
    while True:
        try:
            act()
            return
        except redis.RedisError as error:
            if not said:
                log.warning("waiting for Redis (%s)", error)
                said = True
            time.sleep(delay)
            delay = min(_RECONNECT_CAP_S, delay * 1.5)
