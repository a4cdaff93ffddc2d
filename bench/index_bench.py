"""Compares clipdb's vector index with FAISS on the same vectors and queries, in one run.

Measures ingest of given vectors, build, search over HTTP on keep-alive connections, recall,
filters, deletion of a tenth, restarts and compaction. FAISS has the same parameters and runs in
this process (with product codes of 8 bits, and as many bytes as clipdb's codes of 4 bits).
Prints Markdown tables. `bench/index.sh --help`.
"""

import argparse
import base64
import json
import os
import shutil
import tempfile
import subprocess
import sys
import time
import urllib.parse

import faiss
import numpy as np

import data
from server import Server, disk_of, search_request
from speed import speed_of, timed

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
    parser.add_argument("--folder", help="the parent of the data folders")
    parser.add_argument("--no-faiss", action="store_true", help="only clipdb")
    parser.add_argument("--peers", default="", help="also measure chroma and/or milvus, after the hnsw index")
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


def over_http(server, queries, connections, **fields):
    requests = [search_request(COLLECTION, query, limit=10, **fields) for query in queries]
    server.ask_many(requests, connections)  # warm up: the second run reads from memory
    answers, seconds, total = server.ask_many(requests, connections)
    found = [[int(hit["id"]) for hit in json.loads(answer)["hits"]] for answer in answers]
    return found, speed_of(seconds, total)


def lowest_ef(server, queries, truth, minimum, most):
    """The smallest ef with at least this recall."""
    for ef in range(16, most, 8):
        if data.recall(over_http(server, queries, 1, ef=ef)[0], truth) >= minimum:
            return ef
    return most


def in_faiss(index, parameters, queries, threads):
    faiss.omp_set_num_threads(1)

    def connect():
        return lambda query: index.search(query, 10, params=parameters)[1][0]

    rows = [query[None] for query in queries]
    timed(connect, rows, threads)
    found, speed = timed(connect, rows, threads)
    return [ids.tolist() for ids in found], speed


def wait_until_built(server):
    started = time.perf_counter()
    while server.ask("GET", f"/collections/{COLLECTION}")[1]["index"]["building"]:
        time.sleep(0.2)
    return time.perf_counter() - started


def compact(server):
    path = f"/collections/{COLLECTION}/compact"
    # After startup on a busy machine the server serves reads before its indexes are complete.
    while (answer := server.ask("POST", path, check=False))[0] == 503:
        time.sleep(0.1)
    if answer[0] >= 300:
        raise SystemExit(f"POST {path} returned {answer}")
    wait_until_built(server)


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
        # Re-rank the best four hundred with the full vectors, like clipdb: product codes alone find a third.
        index = faiss.IndexRefineFlat(index)
        probing = faiss.SearchParametersIVF(nprobe=max(nlist // 32, 8))
        parameters = faiss.IndexRefineSearchParameters(k_factor=40, base_index_params=probing)
    if kind in ("hnsw", "sq8"):
        index.hnsw.efConstruction = options.ef_construction
        parameters = faiss.SearchParametersHNSW(efSearch=options.ef)
    index.add(vectors)
    return index, parameters, time.perf_counter() - started


def run_peer(name, vectors, queries, truth, options):
    """Runs `peer.py`; returns its measurements as a row of the table of databases."""
    folder = tempfile.mkdtemp(prefix=f"{name}-bench-", dir=options.folder)
    few = max(50, len(queries) // 5)
    try:
        given = {"vectors": f"{folder}.vectors.npy", "queries": f"{folder}.queries.npy", "few": few}
        np.save(given["vectors"], vectors)
        np.save(given["queries"], queries)
        given |= {name: getattr(options, name) for name in ("m", "ef", "ef_construction", "threads")}
        script = os.path.join(os.path.dirname(__file__), "peer.py")
        measured = {}
        for phase in ("fill", "search"):
            command = [sys.executable, script, name, phase, folder, json.dumps(given)]
            output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
            measured |= json.loads(output.splitlines()[-1])
        allowed = np.arange(len(vectors)) % 1000 < 10
        best = data.true_neighbours(vectors, queries[:few], 10, allowed)
        return database_row(
            name, len(vectors), measured["build"],
            [measured["speed 1"], measured[f"speed {options.threads}"]],
            data.recall(measured["found"], truth),
            data.recall(measured["filtered"], best), measured["filtered speed"],
            measured["memory"], disk_of(folder), measured["ready"],
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for name in ("vectors", "queries"):
            os.remove(f"{folder}.{name}.npy")


DATABASES = ["database", "ingest and build vectors/s", "queries/s, 1", "queries/s, all threads", "p50 ms",
             "p99 ms", "recall@10", "filtered to 1 %: recall@10", "filtered p50 ms", "anonymous MiB",
             "resident mapped MiB", "disk bytes/vector", "time to ready s"]


def database_row(name, count, build, speeds, found, filtered, filtered_speed, memory, disk, ready):
    one, several = speeds
    return [name, f"{count / build:,.0f}", f"{one['qps']:,.0f}", f"{several['qps']:,.0f}",
            f"{one['p50']:.2f}", f"{one['p99']:.2f}", f"{found:.4f}", f"{filtered:.4f}",
            f"{filtered_speed['p50']:.2f}", *(f"{size / 2**20:,.0f}" for size in memory),
            f"{disk / count:,.0f}", f"{ready:.2f}"]


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
        compact(server)
        build = time.perf_counter() - started
        shown = server.ask("GET", f"/collections/{COLLECTION}")[1]["index"]["image"]["segments"]
        print(f"\n### {kind}: {[(s['kind'], s['vectors']) for s in shown]}")
        anonymous, mapped = server.memory()
        table(
            ["ingest vectors/s", "ingest s", "ingest and build s", "anonymous MiB",
             "resident mapped MiB", "index bytes/vector on disk", "complete folder bytes/vector"],
            [[f"{len(vectors) / ingest:,.0f}", f"{ingest:,.1f}", f"{build:,.1f}", mib(anonymous),
              mib(mapped), each(server.disk("index")), each(server.disk())]],
        )

        rows, speeds, ours, theirs = [], [], {}, {}
        for threads in (1, options.threads):
            found, speed = over_http(server, queries, threads)
            ours[threads] = speed["qps"]
            speeds.append(speed)
            rows.append(["clipdb over HTTP", threads, f"{speed['qps']:,.0f}",
                         f"{speed['p50']:.2f}", f"{speed['p99']:.2f}", f"{data.recall(found, truth):.4f}", ""])
        own_recall = data.recall(found, truth)
        few = max(20, len(queries) // 10)
        found, speed = over_http(server, queries[:few], 1, exact=True)
        rows.append(["clipdb, exact", 1, f"{speed['qps']:,.0f}", f"{speed['p50']:.2f}",
                     f"{speed['p99']:.2f}", f"{data.recall(found, truth[:few]):.4f}", ""])
        if not options.no_faiss:
            nlist = min(2 * int(len(vectors) ** 0.5), max(1, len(vectors) // 39))
            bare, parameters, faiss_build = build_faiss(kind, vectors, options, nlist)
            for threads in (1, options.threads):
                found, speed = in_faiss(bare, parameters, queries, threads)
                theirs[threads] = speed["qps"]
                rows.append([f"faiss-cpu (built in {faiss_build:,.1f} s)", threads,
                             f"{speed['qps']:,.0f}", f"{speed['p50']:.2f}", f"{speed['p99']:.2f}",
                             f"{data.recall(found, truth):.4f}", f"{ours[threads] / speed['qps']:.2f}"])
            equal = data.recall(found, truth)
            if kind in ("hnsw", "sq8"):
                ef = lowest_ef(server, queries, truth, equal, options.ef)
                for threads in (1, options.threads):
                    found, ours_then = over_http(server, queries, threads, ef=ef)
                    bare_speed = theirs[threads]
                    rows.append([f"clipdb over HTTP, ef {ef}: equal recall", threads,
                                 f"{ours_then['qps']:,.0f}", f"{ours_then['p50']:.2f}",
                                 f"{ours_then['p99']:.2f}", f"{data.recall(found, truth):.4f}",
                                 f"{ours_then['qps'] / bare_speed:.2f}"])
            del bare
        table(["search", "concurrent", "queries/s", "p50 ms", "p99 ms", "recall@10", "clipdb / faiss"], rows)

        rows = []
        few = queries[: max(50, len(queries) // 5)]
        for share in (500, 100, 10, 1):
            allowed = np.arange(len(vectors)) % 1000 < share
            best = data.true_neighbours(vectors, few, 10, allowed)
            found, speed = over_http(server, few, 1, filter={"bucket": {"$lt": share}})
            fewest = min(len(ids) for ids in found)
            if share == 10:
                filtered = data.recall(found, best), speed
            rows.append([f"{share / 10:g} %", f"{data.recall(found, best):.4f}", fewest,
                         f"{speed['p50']:.2f}", f"{speed['p99']:.2f}"])
        table(["filter keeps", "recall@10", "fewest hits", "p50 ms", "p99 ms"], rows)

        memory, disk = server.memory(), server.disk()
        clean, killed = server.restart(), server.restart(kill=True)
        over_http(server, few, 1)
        restarted = server.memory()
        if kind == "hnsw" and options.peers:
            table(DATABASES, [
                database_row("clipdb, over HTTP", len(vectors), build, speeds, own_recall, *filtered,
                             memory, disk, clean),
                *(run_peer(name, vectors, queries, truth, options) for name in options.peers.split(",")),
            ])
        started = time.perf_counter()
        matching = urllib.parse.quote(json.dumps({"bucket": {"$lt": 100}}))
        server.ask("DELETE", f"/collections/{COLLECTION}/documents?filter={matching}")
        removal = time.perf_counter() - started
        left = np.arange(len(vectors)) % 1000 >= 100
        best = data.true_neighbours(vectors, few, 10, left)
        removed_recall = data.recall(over_http(server, few, 1)[0], best)
        after_removal = server.restart(kill=True)
        started = time.perf_counter()
        compact(server)
        compaction = time.perf_counter() - started
        compact_recall = data.recall(over_http(server, few, 1)[0], best)
        table(
            ["ready after a shutdown s", "after kill -9 s", "anonymous MiB", "resident mapped MiB",
             "deletion of a tenth s", "recall@10",
             "ready after kill -9 s", "compaction s", "recall@10", "index bytes/vector"],
            [[f"{clean:.2f}", f"{killed:.2f}", *map(mib, restarted), f"{removal:.1f}", f"{removed_recall:.4f}",
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
