"""Dramatiq: one worker thread, its default middleware. It acknowledges after the task has run."""

import threading

import dramatiq
from dramatiq.brokers.redis import RedisBroker

broker = noop = None


def connect(url, mark):
    global broker, noop
    broker = RedisBroker(url=url)
    dramatiq.set_broker(broker)

    def noop_body():
        mark()

    noop = dramatiq.actor(noop_body, actor_name="noop")


def enqueue(n):
    for _ in range(n):
        noop.send()


def work():
    dramatiq.Worker(broker, worker_threads=1).start()
    threading.Event().wait()
