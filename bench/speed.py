"""How fast searches are, and what a process holds."""

import threading
import time

import numpy as np


def timed(search, queries, threads):
    """Runs the queries over so many threads; what they found, and their speed. `search` makes
    each thread's own function."""
    found, seconds = [None] * len(queries), [0.0] * len(queries)

    def work(first):
        ask = search()
        for at in range(first, len(queries), threads):
            started = time.perf_counter()
            found[at] = ask(queries[at])
            seconds[at] = time.perf_counter() - started

    started = time.perf_counter()
    workers = [threading.Thread(target=work, args=(first,)) for first in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return found, speed_of(seconds, time.perf_counter() - started)


def speed_of(seconds, whole):
    return {
        "qps": len(seconds) / whole,
        "p50": float(np.percentile(seconds, 50)) * 1e3,
        "p99": float(np.percentile(seconds, 99)) * 1e3,
    }


def memory_of(process):
    """Bytes of the process's own memory, and of files that it has mapped and in use."""
    with open(f"/proc/{process}/status") as status:
        fields = dict(line.split(":", 1) for line in status)
    return tuple(int(fields[name].split()[0]) * 1024 for name in ("RssAnon", "RssFile"))
