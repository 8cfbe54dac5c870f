"""The consumer process: a Huey consumer whose worker leases tasks, and whose housekeeper reaps lost leases."""

from __future__ import annotations

import itertools
import logging
import os
import select
import signal
import sys
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis
from huey.consumer import Consumer, Worker

from consumers import dropped, lost_runs, mended, spending
from consumers.adoption import Adoption
from consumers.caretaker import Caretaker
from consumers.draining import DRAINED, Mark
from consumers.heartbeat import Heartbeat, boot_clock
from consumers.housekeeper import Housekeeper
from consumers.times import LEASE_MS
from durable import dataset, identity
from durable.connect import connect, hide_password
from durable.errors import ServerError
from durable.patience import Patience
from durable.queue import BatonHuey
from durable.records import Claim, Lease, Nothing, State
from durable.settlement import Settlement
from durable.store import LeaseStore

if TYPE_CHECKING:
    from settings import Settings

log = logging.getLogger(__name__)

_BLOCK_S = 5.0  # nobody waits longer than this on a marker that may be lost
#: How often a consumer that is to stop still tries to write down the end of its task.
_LAST_TRIES = 3
_STOPPING_LOOK_S = 0.5
_LOOK_S = 2.0  # at the worker's health
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
        budgets: spending.Budgets | None = None,
        adoption: Adoption | None = None,
        mark: Mark | None = None,
        leave: Callable[[], None] = lambda: None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.adoption, self.mark, self._leave = adoption, mark, leave
        self.heartbeat, self.queues, self.stopping = heartbeat, queues, stopping
        self.owner, self.budgets = heartbeat.owner, budgets
        own = uuid.uuid4().hex
        self._nonces = (f"{own}-{number}" for number in itertools.count())
        self._nonce = next(self._nonces)
        self.redis = heartbeat.redis
        self._asked_at, self._claimed_at = boot_clock(), time.monotonic()

    def loop(self, now: Any = None) -> None:
        """One claim, and the attempt that it leads to; none while `down` is at work."""
        if self._goes_down():
            self.stop_flag.wait(_STOPPING_LOOK_S)
            return
        try:
            found = self._own_or_claimed()
        except redis.RedisError as error:
            self._back_off(error)
            return
        while isinstance(found, Lease):
            if self._ending():
                self._give_back(found)
                return
            found = self._attempt(found)
        if found is not None and not self._ending():
            self._wait(found)

    def _own_or_claimed(self) -> Lease | Nothing | None:
        """The run of a former copy of this consumer, else a claim, else a run whose consumer has gone."""
        if self.adoption and (lease := self.adoption.take()):
            self._asked_at = self.adoption.asked_at
            return lease
        if self._drains():
            self._drain()
            return None
        claim = self._claim(woken=True)
        self.huey.store.answer(claim)
        found = self._found(claim)
        if isinstance(found, Nothing) and self.adoption:
            return self.adoption.orphan() or found
        return found

    def _ending(self) -> bool:
        return self.stop_flag.is_set() or self._goes_down()

    def _goes_down(self) -> bool:
        """Whether `./baton down` is at work; asked around every task, and ten times quicker than by pathlib."""
        return os.path.exists(self.stopping)

    def _drains(self) -> bool:
        """Whether baton.yaml names this consumer no more: it claims nothing, and goes when it has nothing."""
        return self.mark is not None and self.mark.is_asked()

    def _drain(self) -> None:
        if self.mark and self.mark.go():
            log.info("baton.yaml does not name this consumer any more, and it has no task; it goes")
            self._leave()
            self.stop_flag.wait()

    def _claim(self, *, woken: bool = False) -> Claim:
        self._asked_at = boot_clock()  # a lease holds from before its claim was sent
        self._claimed_at = time.monotonic()
        return Claim(
            owner=self.owner,
            nonce=self._nonce,
            queues=self.queues,
            lease_ms=LEASE_MS,
            budget=self.budgets.now() if self.budgets else None,
            woken=woken,
        )

    def _found(self, claim: Claim) -> Lease | Nothing | None:
        """What a claim was answered; after a lease, the next claim is another one."""
        self.redis.worked(self._claimed_at)
        if isinstance(claim.found, Lease):
            self._nonce = next(self._nonces)
        return claim.found

    def _give_back(self, lease: Lease) -> None:
        """A lease that came in the moment when the consumer is to stop; a run that was taken over stays as it is."""
        if self.adoption and self.adoption.has_taken(lease):
            return
        try:
            self.huey.store.release(
                lease.id, lease.token, outcome="interrupted", reason="the consumer was stopped"
            )
        except redis.RedisError as error:
            log.warning("task %s: not given back (%s); it runs again later", lease.id, error)

    def _wait(self, nothing: Nothing) -> None:
        """Until somebody marks a queue, a task is due, or five seconds are over."""
        due_in_s = nothing.due_in_ms / 1000 + 0.001
        seconds = _BLOCK_S if nothing.due_in_ms < 0 else min(_BLOCK_S, due_in_s)
        try:
            if self.budgets and nothing.kept_back not in ("", "gate"):
                self.budgets.close_gate(self.huey.store, nothing.kept_back, nothing.task)
            self.huey.store.wait_for_work(self.queues, self.owner, seconds)
        except redis.RedisError as error:
            self._back_off(error)

    def _attempt(self, lease: Lease) -> Lease | Nothing | None:
        """Run it and write its end; what the claim that travelled with that has found."""
        self.heartbeat.hold(lease, self._asked_at)
        try:
            settlement = dropped.held(lease) or self.huey.attempt(lease)
            if settlement.left:
                log.info("task %s: its run goes on without this process", lease.id)
                return None
            if settlement.surprise:
                log.error("task %s: its code raised", lease.id, exc_info=settlement.surprise)
            return self._settle(settlement)
        except Exception as error:
            # a mistake of ours must neither kill the worker nor lose the task
            log.exception("task %s: its end cannot be written as it is", lease.id)
            return self._settle(Settlement(lease, State.FAILED, "crashed", ascii(error)))
        finally:
            self.heartbeat.let_go(lease)

    def _settle(self, settlement: Settlement) -> Lease | Nothing | None:
        """Write the end of the attempt and claim the next; the lease is beaten for until that is done."""
        lease = settlement.lease
        while True:
            then = None if self._ending() or self._drains() else self._claim()
            try:
                written = settlement.settle(self.huey.store, then)
                break
            except redis.RedisError as error:
                self._back_off(error)
                if self.stop_flag.is_set() and self.redis.failures > _LAST_TRIES:
                    log.error(
                        "task %s: stopping before its end could be written; it will run again",
                        lease.id,
                    )
                    return None
        if written:
            name, reason = (
                lease.name or "a message",
                settlement.reason and f" ({settlement.reason})",
            )
            about = (lease.id, lease.attempt, name, settlement.outcome, reason)
            log.info("task %s: attempt %d of %s: %s%s", *about)
        else:
            log.warning("task %s: the lease was lost; this attempt's end is refused", lease.id)
        return self._found(then) if then else None

    def _back_off(self, error: Exception) -> None:
        self.stop_flag.wait(self.redis.failed(time.monotonic(), error))


class LeaseConsumer(Consumer):
    """One worker thread, one housekeeper, one heartbeat."""

    worker_class = LeaseWorker
    scheduler_class = Housekeeper

    def __init__(
        self,
        huey: BatonHuey,
        heartbeat: Heartbeat,
        settings: Settings,
        name: str,
        adoption: Adoption | None = None,
    ) -> None:
        self.heartbeat, self.settings, self.adoption = heartbeat, settings, adoption
        self.queues = _queues(settings, name)
        self.mark = Mark(settings.var, f"{settings.instance}-consumer-{name}")
        self.drained = False
        super().__init__(huey, workers=1, periodic=False, shutdown_timeout=STOP_PATIENCE_S)
        self._stop_flag_timeout = 0.0  # `loop` waits instead
        gentle = (False, True)  # both signals stop gracefully: PM2 sends INT, an init system TERM
        self._signal_actions = {signal.SIGINT: gentle, signal.SIGTERM: gentle}

    def run(self) -> None:
        """Until a signal says stop."""
        self._heard, told = os.pipe()
        os.set_blocking(told, False)
        signal.set_wakeup_fd(told, warn_on_full_buffer=False)
        super().run()

    def loop(self, health_check_ts: float | None = None) -> Any:
        """As Huey's, but woken by a signal rather than ten times a second, which was most of an idle consumer's CPU."""
        select.select([self._heard], [], [], _LOOK_S)
        return super().loop(health_check_ts)

    def _create_worker(self) -> LeaseWorker:
        return self.worker_class(
            huey=self.huey,
            stop_flag=self.stop_flag,
            default_delay=self.default_delay,
            max_delay=self.max_delay,
            backoff=self.backoff,
            heartbeat=self.heartbeat,
            queues=self.queues,
            stopping=self.settings.var / "stopping",
            budgets=spending.Budgets(self.settings),
            adoption=self.adoption,
            mark=self.mark,
            leave=self._leave,
        )

    def _leave(self) -> None:
        """Called by the worker: this process has drained."""
        self.drained = True
        os.kill(os.getpid(), signal.SIGINT)

    def _create_scheduler(self) -> Housekeeper:
        return self.scheduler_class(self.huey, self.stop_flag, self.settings, self.announce)

    def announce(self) -> None:
        """Say which queues this consumer takes from; one that only drains takes from none."""
        if self.queues:
            self.huey.store.announce(self.heartbeat.owner, self.settings.host, self.queues)

    def stop(self, graceful: bool = False) -> None:
        """Stop claiming, wake an idle worker, and wait for a busy one as long as PM2 does."""
        self.stop_flag.set()
        _quietly(lambda: self.heartbeat.store.nudge(self.heartbeat.owner))
        _quietly(lambda: self.heartbeat.store.leave(self.heartbeat.owner))
        super().stop(graceful)
        for held in self.heartbeat.in_hand():
            log.warning("task %s: not finished in time; it will run again", held.lease.id)


def _queues(settings: Settings, name: str) -> tuple[str, ...]:
    """Those of the consumer's group; none for one that only drains."""
    try:
        return settings.group_of(int(name)).queues
    except KeyError:
        return ()


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

    logging.getLogger("huey").setLevel(
        logging.CRITICAL
    )  # the worker says it, once and in our words
    owner = identity.owner(settings.var, f"consumer-{name}")
    tasks.load_user_tasks()
    heartbeat = Heartbeat(
        LeaseStore(connect(settings.redis.url, retries=0), tasks.huey.store.prefix), owner
    )
    adoption = Adoption(settings, tasks.huey.store, owner)
    consumer = LeaseConsumer(tasks.huey, heartbeat, settings, name, adoption)
    if consumer.queues:  # it is named, whatever was said before
        consumer.mark.withdraw()
    else:
        consumer.mark.only_drains()
    tasks.claude.bind(Runs(settings, tasks.huey.store, heartbeat, consumer.stop_flag).attempt)
    lost_runs.bury(settings.var)
    try:
        begin = partial(_begin, settings, tasks.huey.store, adoption, consumer.announce)
        _when_redis_answers(begin, adoption.hold_on)
    except ServerError as error:
        log.error("%s", error)
        return os.EX_CONFIG
    heartbeat.start()
    Caretaker(settings, tasks.huey.store).start()
    ready()
    consumer.run()
    if heartbeat.in_hand():
        _give_up()
    return DRAINED if consumer.drained else os.EX_OK


def _give_up() -> None:
    """End at once with a Python task still in hand, whatever threads its body has.

    Its lease is not given back here, for its body runs until the very end: the next copy of this consumer
    takes it back under the flock, or any reaper does.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(os.EX_OK)


def _begin(
    settings: Settings, store: LeaseStore, adoption: Adoption, announce: Callable[[], None]
) -> None:
    """See that the data are ours, then take over what a former copy of this consumer held."""
    dataset.bind(store, settings.var, hide_password(settings.redis.url))
    store.forget_older_libraries()
    for reason in spending.Budgets(settings).reopen_gate(store):
        log.info("the gate is open again: there is room in the day's %s", reason)
    for reason in mended.reopen_gate(settings, store):
        log.info("the gate is open again: what it was closed for (%s) is otherwise now", reason)
    adoption.take_own()
    announce()


def _when_redis_answers(act: Callable[[], object], meanwhile: Callable[[], object]) -> None:
    """A consumer that starts before Redis waits for it, at most 5 s between two tries."""
    patience = Patience("Redis", log)
    while True:
        try:
            act()
        except redis.RedisError as error:
            meanwhile()
            time.sleep(patience.failed(time.monotonic(), error))
        else:
            patience.worked()
            return
