"""Submits jobs, waits until all results are stored, prints the seconds."""

import sys
import time


def drive(submit, stored):
    """`submit(count)` submits a batch; `stored()` tells how many results there are by now."""
    jobs, batch = int(sys.argv[1]), int(sys.argv[2])
    before, begin = stored(), time.perf_counter()
    for _ in range(jobs // batch):
        submit(batch)
    while stored() - before < jobs // batch * batch:
        time.sleep(0.01)
    print(time.perf_counter() - begin)
