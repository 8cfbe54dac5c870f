"""taskiq on a stream of taskiq-redis, which acknowledges after the task has run. One task at a time."""

import asyncio

from taskiq.api import run_receiver_task
from taskiq_redis import RedisStreamBroker

loop = asyncio.new_event_loop()
broker = noop = None
started = False


def connect(url, mark):
    global broker, noop
    asyncio.set_event_loop(loop)
    broker = RedisStreamBroker(url)

    async def noop_body():
        mark()

    noop = broker.task(task_name="noop")(noop_body)


def enqueue(n):
    async def all_of_them():
        global started
        if not started:
            await broker.startup()
            started = True
        for _ in range(n):
            await noop.kiq()

    loop.run_until_complete(all_of_them())


def work():
    broker.is_worker_process = True
    loop.run_until_complete(run_receiver_task(broker, max_async_tasks=1, run_startup=True))
