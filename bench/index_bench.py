"""clipdb's vector index against bare FAISS on the same vectors and queries, in one run.

Ingest of given vectors, build, search over HTTP on keep-alive connections, recall, filters,
removal of a tenth, restarts, compaction; for FAISS the same parameters in this process.
Prints Markdown tables. `bench/index.sh --help`.
"""

import argparse
import base64
import json
import os
import shutil
import tempfile
import threading
import time
import urllib.parse

import faiss
import numpy as np

import data
from server import Server, search_request

COLLECTION = "bench"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", default="target/release/clipdb")
    parser.add_argument("--keep-alive", default="target/release/keep_alive")
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--kinds", default="hnsw,sq8,ivf_pq,flat")
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--m", type=int, default=16)
    parser.add_argument("--ef-construction", type=int, default=128)
    parser.add_argument("--ef", type=int, default=96)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--folder", help="where the data folders are made")
    parser.add_argument("--no-faiss", action="store_true", help="clipdb alone")
    return parser.parse_args()


def table(head, rows):
    print("\n| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |", flush=True)


def lines(vectors):
    for start in range(0, len(vectors), 64):
        part = vectors[start : start + 64]
        yield b"".join(
            b'{"id":"%d","vectors":{"image":"%s"},"metadata":{"bucket":%d}}\n'
            % (start + at, base64.b64encode(vector.tobytes()), (start + at) % 1000)
            for at, vector in enumerate(part)
        )


def timed(search, queries, threads):
    """Runs the queries over so many threads; what they found, and each one's seconds."""
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
        "p50": np.percentile(seconds, 50) * 1e3,
        "p99": np.percentile(seconds, 99) * 1e3,
    }


def over_http(server, queries, connections, **fields):
    requests = [search_request(COLLECTION, query, limit=10, **fields) for query in queries]
    server.ask_many(requests[: len(requests) // 10], connections)
    answers, seconds, whole = server.ask_many(requests, connections)
    found = [[int(hit["id"]) for hit in json.loads(answer)["hits"]] for answer in answers]
    return found, speed_of(seconds, whole)


def in_faiss(index, parameters, queries, threads):
    faiss.omp_set_num_threads(1)

    def connect():
        return lambda query: index.search(query, 10, params=parameters)[1][0]

    rows = [query[None] for query in queries]
    timed(connect, rows[: len(rows) // 10], threads)
    found, speed = timed(connect, rows, threads)
    return [ids.tolist() for ids in found], speed


def wait_until_built(server):
    started = time.perf_counter()
    while server.ask("GET", f"/collections/{COLLECTION}")[1]["index"]["building"]:
        time.sleep(0.2)
    return time.perf_counter() - started


def build_faiss(kind, vectors, options, nlist):
    dim = vectors.shape[1]
    faiss.omp_set_num_threads(options.threads)
    started = time.perf_counter()
    parameters = None
    if kind == "flat":
        index = faiss.IndexFlatIP(dim)
    elif kind == "hnsw":
        index = faiss.IndexHNSWFlat(dim, options.m, faiss.METRIC_INNER_PRODUCT)
    elif kind == "sq8":
        index = faiss.IndexHNSWSQ(
            dim, faiss.ScalarQuantizer.QT_8bit, options.m, faiss.METRIC_INNER_PRODUCT
        )
        index.train(vectors)
    else:
        quantizer = faiss.IndexFlatIP(dim)
        index = faiss.IndexIVFPQ(quantizer, dim, nlist, dim // 8, 8, faiss.METRIC_INNER_PRODUCT)
        index.cp.niter = 10
        index.cp.max_points_per_centroid = 64
        index.train(vectors)
        parameters = faiss.SearchParametersIVF(nprobe=max(nlist // 32, 8))
    if kind in ("hnsw", "sq8"):
        index.hnsw.efConstruction = options.ef_construction
        parameters = faiss.SearchParametersHNSW(efSearch=options.ef)
    index.add(vectors)
    return index, parameters, time.perf_counter() - started


def run(kind, vectors, queries, truth, options):
    folder = tempfile.mkdtemp(prefix="clipdb-bench-", dir=options.folder)
    server = Server(options.binary, folder, options.threads, options.keep_alive)
    mib = lambda number: f"{number / 2**20:,.0f}"
    each = lambda number: f"{number / len(vectors):,.0f}"
    try:
        index = {"kind": kind}
        if kind in ("hnsw", "sq8"):
            index |= {"m": options.m, "ef": options.ef, "ef_construction": options.ef_construction}
        body = {"model": "none", "dim": options.dim, "index": index}
        server.ask("PUT", f"/collections/{COLLECTION}", body)
        started = time.perf_counter()
        answer = server.ask(
            "POST", f"/collections/{COLLECTION}/documents", lines(vectors), "application/x-ndjson"
        )[1]
        assert answer["created"] == len(vectors), answer["failed"]
        ingest = time.perf_counter() - started
        del answer
        wait_until_built(server)
        server.ask("POST", f"/collections/{COLLECTION}/compact")
        wait_until_built(server)
        build = time.perf_counter() - started
        shown = server.ask("GET", f"/collections/{COLLECTION}")[1]["index"]["image"]["segments"]
        print(f"\n### {kind}: {[(s['kind'], s['vectors']) for s in shown]}")
        anonymous, mapped = server.memory()
        table(
            ["ingest vectors/s", "ingest s", "ingest and build s", "own memory MiB",
             "mapped MiB in use", "index bytes/vector on disk", "whole folder bytes/vector"],
            [[f"{len(vectors) / ingest:,.0f}", f"{ingest:,.1f}", f"{build:,.1f}", mib(anonymous),
              mib(mapped), each(server.disk("index")), each(server.disk())]],
        )

        rows, ours = [], {}
        for threads in (1, options.threads):
            found, speed = over_http(server, queries, threads)
            ours[threads] = speed["qps"]
            rows.append(["clipdb over HTTP", threads, f"{speed['qps']:,.0f}",
                         f"{speed['p50']:.2f}", f"{speed['p99']:.2f}", f"{data.recall(found, truth):.4f}", ""])
        few = max(20, len(queries) // 10)
        found, speed = over_http(server, queries[:few], 1, exact=True)
        rows.append(["clipdb, exact", 1, f"{speed['qps']:,.0f}", f"{speed['p50']:.2f}",
                     f"{speed['p99']:.2f}", f"{data.recall(found, truth[:few]):.4f}", ""])
        if not options.no_faiss:
            nlist = min(2 * int(len(vectors) ** 0.5), max(1, len(vectors) // 39))
            bare, parameters, faiss_build = build_faiss(kind, vectors, options, nlist)
            for threads in (1, options.threads):
                found, speed = in_faiss(bare, parameters, queries, threads)
                rows.append([f"faiss-cpu (built in {faiss_build:,.1f} s)", threads,
                             f"{speed['qps']:,.0f}", f"{speed['p50']:.2f}", f"{speed['p99']:.2f}",
                             f"{data.recall(found, truth):.4f}", f"{ours[threads] / speed['qps']:.2f}"])
            del bare
        table(["search", "at once", "queries/s", "p50 ms", "p99 ms", "recall@10", "clipdb / faiss"], rows)

        rows = []
        few = queries[: max(50, len(queries) // 5)]
        for share in (500, 100, 10, 1):
            allowed = np.arange(len(vectors)) % 1000 < share
            best = data.true_neighbours(vectors, few, 10, allowed)
            found, speed = over_http(server, few, 1, filter={"bucket": {"$lt": share}})
            fewest = min(len(ids) for ids in found)
            rows.append([f"{share / 10:g} %", f"{data.recall(found, best):.4f}", fewest,
                         f"{speed['p50']:.2f}", f"{speed['p99']:.2f}"])
        table(["filter leaves", "recall@10", "fewest hits", "p50 ms", "p99 ms"], rows)

        clean, killed = server.restart(), server.restart(kill=True)
        started = time.perf_counter()
        matching = urllib.parse.quote(json.dumps({"bucket": {"$lt": 100}}))
        server.ask("DELETE", f"/collections/{COLLECTION}/documents?filter={matching}")
        removal = time.perf_counter() - started
        left = np.arange(len(vectors)) % 1000 >= 100
        best = data.true_neighbours(vectors, few, 10, left)
        removed_recall = data.recall(over_http(server, few, 1)[0], best)
        after_removal = server.restart(kill=True)
        started = time.perf_counter()
        server.ask("POST", f"/collections/{COLLECTION}/compact")
        wait_until_built(server)
        compaction = time.perf_counter() - started
        compact_recall = data.recall(over_http(server, few, 1)[0], best)
        table(
            ["ready after a stop s", "after a kill s", "a tenth removed s", "recall@10 then",
             "ready after a kill then s", "compacted s", "recall@10 then", "index bytes/vector"],
            [[f"{clean:.2f}", f"{killed:.2f}", f"{removal:.1f}", f"{removed_recall:.4f}",
              f"{after_removal:.2f}", f"{compaction:.1f}", f"{compact_recall:.4f}",
              f"{server.disk('index') / left.sum():,.0f}"]],
        )
    finally:
        server.stop(kill=True)
        shutil.rmtree(folder, ignore_errors=True)


def main():
    options = arguments()
    vectors = data.clustered(options.count, options.dim, seed=7)
    queries = data.queries_like(vectors, options.queries, seed=11)
    truth = data.true_neighbours(vectors, queries, 10)
    print(f"{len(vectors):,} vectors of {options.dim}, {len(queries)} queries, "
          f"{options.threads} threads, faiss-cpu {faiss.__version__}")
    for kind in options.kinds.split(","):
        run(kind, vectors, queries, truth, options)


if __name__ == "__main__":
    main()
