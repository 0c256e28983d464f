"""The job of every queue: run a command and return how it ended and what it printed."""

import subprocess

TRUE = ["/bin/true"]


def run(args):
    done = subprocess.run(args, stdin=subprocess.DEVNULL, capture_output=True)
    return done.returncode, done.stdout.decode(), done.stderr.decode()
