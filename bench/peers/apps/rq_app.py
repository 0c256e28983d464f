"""RQ: what submits the job, and counts those that have ended."""

import os

import command
import redis
from driving import drive
from rq import Queue

queue = Queue(connection=redis.Redis.from_url(os.environ["BENCH_REDIS"] + "/0"))


def submit(count):
    if count == 1:
        queue.enqueue(command.run, command.TRUE)
    else:
        queue.enqueue_many([Queue.prepare_data(command.run, (command.TRUE,)) for _ in range(count)])


if __name__ == "__main__":
    drive(submit, lambda: queue.finished_job_registry.count)
