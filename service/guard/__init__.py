"""The guard: the small parent of one service process, and what supervisord runs.

    guard       listens, starts the process, starts it anew when it dies, passes signals on
    process     the other side: what a process owes its guard, and gets from it

It holds the listening socket, so that whoever connects while there is no process waits for the
next one instead of being refused. It imports nothing of the service, and little else.
"""
