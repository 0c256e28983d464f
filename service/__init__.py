"""squall's service: operating-system commands run as jobs.

The map, from the bottom up; imports point only downwards:

    cli/, programs/  the `squall` command; nginx, supervisord and the processes as one thing
    guard/          the parent of one process: listens, and starts it anew
    server          one process: settings -> ledger -> runner -> web, and back down in order
    web/            HTTP: routes, handlers, problems, authentication
    output/         a job's output, wherever it is
    running/        claims queued jobs, runs them, writes down how they ended, clears up
    peers/          the other processes of this machine: who lives, who wants news, who owns
    journal/        a job's output in the order it was read
    ledger/         the database of jobs; it alone decides what is true
    settings        what is in force, and where each value came from
    state           the state directory: where everything that is written lies
    connections     the HTTP server, which accepts no more than it can serve
    descriptors     how many of them jobs, clients and peers may have
    tasks, proc     owners of asyncio tasks; the processes of this machine, as /proc shows them
    metrics, logs   numbers for Prometheus; the log of a process
    jobs            the words: specs, jobs, states and the legal moves; no I/O
    checks          every wrong field of a document, by name
    errors          the tree of what can go wrong

`cli` and `programs` know the service by its HTTP, its settings and its files only.
"""

__version__ = "0.1.0"
