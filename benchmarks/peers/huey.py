"""Huey as `huey_consumer` starts it: one thread, its own codec and log level. Flavours: its storages on Redis."""

import logging

import huey as library

flavour = "RedisHuey"
queue = noop = None


def connect(url, mark):
    global queue, noop
    queue = getattr(library, flavour)("bench", url=url)

    def noop_body():
        mark()

    noop = queue.task(name="noop")(noop_body)


def enqueue(n):
    for _ in range(n):
        noop()


def work():
    logging.basicConfig(
        level=logging.INFO, format="[%(asctime)s] %(levelname)s:%(name)s: %(message)s"
    )
    queue.create_consumer(workers=1, periodic=False).run()
