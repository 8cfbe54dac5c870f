"""Celery with acks_late, one process (`-P solo`), no gossip between workers, its default log level."""

from celery import Celery

app = noop = None


def connect(url, mark):
    global app, noop
    address = url.replace("unix://", "redis+socket://")
    app = Celery("bench", broker=address)
    app.conf.task_acks_late = True
    app.conf.broker_connection_retry_on_startup = True

    def noop_body():
        mark()

    noop = app.task(name="noop")(noop_body)


def enqueue(n):
    for _ in range(n):
        noop.delay()


def work():
    quiet = ["--without-gossip", "--without-mingle"]
    app.worker_main(["worker", "--pool=solo", "--loglevel=WARNING", *quiet])
