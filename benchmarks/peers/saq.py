"""SAQ: one task at a time. It puts a task back whose worker is not heard of, once it has timed out."""

import asyncio

from redis.asyncio import Redis
from saq import Worker
from saq.queue.redis import RedisQueue

loop = asyncio.new_event_loop()
queue = body = None


async def noop(context):
    body()


def connect(url, mark):
    global queue, body
    body = mark
    asyncio.set_event_loop(loop)
    queue = RedisQueue(Redis.from_url(url))  # its own from_url knows no socket


def enqueue(n):
    async def all_of_them():
        for _ in range(n):
            await queue.enqueue("noop")

    loop.run_until_complete(all_of_them())


def work():
    worker = Worker(queue, functions=[noop], concurrency=1)
    loop.run_until_complete(worker.start())
