"""The guard: the small parent of one service process, and what supervisord runs.

    guard       listens, starts the process, starts it anew when it dies, passes signals on
    child       a process, as its guard sees it
    store       what is held for it, and for the one after it
    keeping     what the guard does with what its process says
    children    what else the guard is the parent of, as its subreaper
    signals     those that it minds
    messages    how the two speak with each other
    process     the other side: what a process owes its guard, and gets from it

It holds the listening socket, so that whoever connects while there is no process waits for the
next one instead of being refused, and what a running job needs, so that the job goes on. It
imports nothing of the service, and little else. In `docs/survival.md` is who holds what.
"""
