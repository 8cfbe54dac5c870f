"""Baton: the consumer that `app.py consumer N` runs, without its Claude tasks. Logs as it does there."""

import logging
import os
from pathlib import Path

from app import log_as
from consumers.consumer import LeaseConsumer
from consumers.heartbeat import Heartbeat
from durable.connect import connect as client_of
from durable.queue import BatonHuey
from durable.store import LeaseStore
from settings import load

huey = noop = address = None


def connect(url, mark):
    global huey, noop, address
    address = url
    huey = BatonHuey("bench", url=url)

    def noop_body():
        mark()

    noop = huey.task(name="noop")(noop_body)


def enqueue(n):
    for _ in range(n):
        noop()


def enqueue_batch(n):
    huey.store.submit([huey.serialize_task(noop.s()).submission for _ in range(n)])


def work():
    log_as("bench")
    logging.getLogger("huey").setLevel(logging.CRITICAL)  # as consumers.consumer.run does
    beats = LeaseStore(client_of(address, retries=0), huey.store.prefix)
    heartbeat = Heartbeat(beats, f"bench:{os.getpid()}")
    heartbeat.start()
    LeaseConsumer(huey, heartbeat, _settings(), "1").run()


def _settings():
    Path("baton.yaml").write_text(f"redis: {address}\nconsumers: 1\n")
    return load(environ=dict(os.environ, BATON_CONFIG="baton.yaml", BATON_VAR="var"))
