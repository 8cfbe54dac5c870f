"""RQ: Worker forks for each task, as `rq worker` does; SimpleWorker runs it in the process itself."""

import redis
import rq

flavour = "Worker"
queue = mark_body = None


def noop():
    mark_body()


def connect(url, mark):
    global queue, mark_body
    mark_body = mark
    queue = rq.Queue("bench", connection=redis.Redis.from_url(url))


def enqueue(n):
    for _ in range(n):
        queue.enqueue(noop)


def enqueue_batch(n):
    queue.enqueue_many([rq.Queue.prepare_data(noop) for _ in range(n)])


def work():
    getattr(rq, flavour)([queue], connection=queue.connection).work(logging_level="INFO")
