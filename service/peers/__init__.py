"""The other processes of this machine, and what one knows of the others.

notices     who lives, who wants news, who knows of work: locks, a shared map, datagrams
deaths      that one of them has died, at once
changes     that something in the ledger has changed
waiters     who waits for what to become of which job, wherever it runs
relay       passes a request on to the process that owns the job
"""
