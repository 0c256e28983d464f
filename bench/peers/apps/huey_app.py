"""Huey on SQLite: the task, and what submits it."""

import os

import command
from driving import drive
from huey import SqliteHuey

huey = SqliteHuey(filename=os.environ["BENCH_HUEY"])


@huey.task()
def run(args):
    return command.run(args)


def submit(count):
    for _ in range(count):
        run(command.TRUE)


if __name__ == "__main__":
    import huey_app  # the consumer knows the task by this name, not as __main__

    drive(huey_app.submit, huey_app.huey.result_count)
