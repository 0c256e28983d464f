"""Runs operating-system commands on the event loop of Tornado or asyncio.

    from executor import Subprocess, run

    result = await run(["git", "status"], cwd="/src", timeout=10, encoding="utf-8")

The map of the package, from the outside in:

    subprocess.py   Subprocess and run: what a caller sees
    child.py        one run from its start to its end: the machine behind them
    phase.py        its phases and legal moves      stop.py     the stop sequence
    ends.py         our ends of its pipes           group.py    all that it has started
    calls.py        code of the caller's, called    result.py   how it ended, plain facts
    streams.py      chunks() and lines(): reading while the child runs
    options.py      what was asked, checked         limits.py   limits of the operating system
    stdio.py        the three streams, opened       spawn.py    the start itself
    pipes.py        one end of a pipe               capture.py  what is kept of a stream
    input.py        what the child gets, and who    waiters.py  those who wait for something
    deadline.py     timeout, drain, last grace
    exits.py        how we learn of the end         cgroup.py   a cgroup a run, where there is one
    watch.py        readiness, one epoll a loop     errors.py   what can go wrong
    handover.py     a run in plain values           takeover.py a run that was begun elsewhere
    adopted.py      its end, whoever is its parent  changes.py  tells of what a successor must know
    peek.py         an end, before it is reaped     dropped.py  a run that nobody holds any more

Made for Linux 5.3 and later (pidfd_open(2)). Without pidfds the end of a child is polled for, every
50 ms at most; without epoll the loop's own readiness is used.
"""

from executor.errors import CommandFailed, ExecutorError, NoRoom, OutputLost, Released
from executor.handover import Handover, InputState, OutputState
from executor.limits import Limits
from executor.result import Ending, Result, Usage
from executor.stdio import DEVNULL, PIPE, STDOUT
from executor.subprocess import Subprocess, run

__all__ = [
    "DEVNULL",
    "PIPE",
    "STDOUT",
    "CommandFailed",
    "Ending",
    "ExecutorError",
    "Handover",
    "InputState",
    "Limits",
    "NoRoom",
    "OutputLost",
    "OutputState",
    "Released",
    "Result",
    "Subprocess",
    "Usage",
    "run",
]
