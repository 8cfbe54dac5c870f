"""arq: one task at a time, looking every 10 ms (with its default of 500 ms it runs two tasks a second)."""

import asyncio
import logging

import arq
from arq.connections import RedisSettings

loop = asyncio.new_event_loop()
settings = pool = body = None


async def noop(context):
    body()


def connect(url, mark):
    global settings, body
    body = mark
    asyncio.set_event_loop(loop)
    settings = RedisSettings(unix_socket_path=url.removeprefix("unix://"))


def enqueue(n):
    async def all_of_them():
        global pool
        pool = pool or await arq.create_pool(settings)
        for _ in range(n):
            await pool.enqueue_job("noop")

    loop.run_until_complete(all_of_them())


def work():
    logging.basicConfig(level=logging.INFO)
    arq.Worker([noop], redis_settings=settings, max_jobs=1, poll_delay=0.01).run()
