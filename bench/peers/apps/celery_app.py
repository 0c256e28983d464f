"""Celery: the task, and what submits it."""

import os

import command
import redis
from celery import Celery, group
from driving import drive

URL = os.environ["BENCH_REDIS"]

app = Celery("celery_app", broker=f"{URL}/0", backend=f"{URL}/1")


@app.task(name="run")
def run(args):
    return command.run(args)


def submit(count):
    if count == 1:
        run.delay(command.TRUE)
    else:
        group(run.s(command.TRUE) for _ in range(count)).apply_async()


if __name__ == "__main__":
    results = redis.Redis.from_url(f"{URL}/1")
    # beside the result of each task there may be other keys: of groups
    drive(submit, lambda: sum(1 for _ in results.scan_iter("celery-task-meta-*", 10_000)))
