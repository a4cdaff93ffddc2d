"""The speed of searches and the memory of a process."""

import threading
import time

import numpy as np


def timed(search, queries, threads):
    """Runs the queries on this many threads; returns the results and the speed. `search` creates
    the search function of each thread."""
    found, seconds = [None] * len(queries), [0.0] * len(queries)

    def work(first):
        search_one = search()
        for at in range(first, len(queries), threads):
            started = time.perf_counter()
            found[at] = search_one(queries[at])
            seconds[at] = time.perf_counter() - started

    started = time.perf_counter()
    workers = [threading.Thread(target=work, args=(first,)) for first in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return found, speed_of(seconds, time.perf_counter() - started)


def speed_of(seconds, total):
    return {
        "qps": len(seconds) / total,
        "p50": float(np.percentile(seconds, 50)) * 1e3,
        "p99": float(np.percentile(seconds, 99)) * 1e3,
    }


def memory_of(process):
    """Bytes of the anonymous memory of the process, and of its resident file mappings."""
    with open(f"/proc/{process}/status") as status:
        fields = dict(line.split(":", 1) for line in status)
    return tuple(int(fields[name].split()[0]) * 1024 for name in ("RssAnon", "RssFile"))
