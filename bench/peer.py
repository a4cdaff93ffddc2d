"""Another database on the same vectors and queries, in a process of its own.

`peer.py NAME fill|search FOLDER OPTIONS` prints its measurements as JSON. Both databases run
embedded, in process and without HTTP, as their authors intend. `index_bench.py` calls this.
"""

import json
import os
import sys
import time

import numpy as np

from speed import memory_of, timed

COLLECTION = "bench"


class Chroma:
    """https://www.trychroma.com, its persistent client."""

    batch = 5_000

    def __init__(self, folder):
        import chromadb

        settings = chromadb.Settings(anonymized_telemetry=False)
        self.client = chromadb.PersistentClient(os.path.join(folder, "chroma"), settings=settings)

    def create(self, dim, options):
        hnsw = {
            "space": "ip",
            "max_neighbors": options["m"],
            "ef_construction": options["ef_construction"],
            "ef_search": options["ef"],
        }
        self.collection = self.client.create_collection(
            COLLECTION, configuration={"hnsw": hnsw}, embedding_function=None
        )

    def open(self, options):
        self.collection = self.client.get_collection(COLLECTION, embedding_function=None)

    def insert(self, start, vectors):
        numbers = range(start, start + len(vectors))
        self.collection.add(
            ids=[str(number) for number in numbers],
            embeddings=vectors,
            metadatas=[{"bucket": number % 1000} for number in numbers],
        )

    def wait_until_built(self):
        pass

    def search(self, query, below=None):
        where = None if below is None else {"bucket": {"$lt": below}}
        found = self.collection.query(query_embeddings=query[None], n_results=10, where=where, include=[])
        return [int(number) for number in found["ids"][0]]

    def close(self):
        pass


class Milvus:
    """https://milvus.io, as Milvus Lite."""

    batch = 1_000

    def __init__(self, folder):
        from pymilvus import MilvusClient

        self.client = MilvusClient(os.path.join(folder, "milvus.db"))

    def create(self, dim, options):
        from pymilvus import DataType

        self.open(options, loaded=True)
        schema = self.client.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("bucket", DataType.INT64)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
        index = self.client.prepare_index_params()
        index.add_index(
            "vector",
            index_type="HNSW",
            metric_type="IP",
            params={"M": options["m"], "efConstruction": options["ef_construction"]},
        )
        self.client.create_collection(COLLECTION, schema=schema, index_params=index)

    def open(self, options, loaded=False):
        self.parameters = {"metric_type": "IP", "params": {"ef": options["ef"]}}
        if not loaded:
            self.client.load_collection(COLLECTION)

    def insert(self, start, vectors):
        rows = [
            {"id": start + at, "bucket": (start + at) % 1000, "vector": vector}
            for at, vector in enumerate(vectors)
        ]
        self.client.insert(COLLECTION, rows)

    def wait_until_built(self):
        self.client.flush(COLLECTION)
        while self.client.describe_index(COLLECTION, "vector").get("pending_index_rows"):
            time.sleep(0.2)

    def search(self, query, below=None):
        found = self.client.search(
            COLLECTION,
            [query],
            limit=10,
            filter="" if below is None else f"bucket < {below}",
            output_fields=["id"],
            search_params=self.parameters,
        )
        return [int(hit["id"]) for hit in found[0]]

    def close(self):
        self.client.close()


PEERS = {"chroma": Chroma, "milvus": Milvus}


def fill(peer, vectors, options):
    peer.create(vectors.shape[1], options)
    started = time.perf_counter()
    for start in range(0, len(vectors), peer.batch):
        peer.insert(start, np.array(vectors[start : start + peer.batch]))
    ingest = time.perf_counter() - started
    peer.wait_until_built()
    return {"ingest": ingest, "build": time.perf_counter() - started}


def search(peer, started, queries, options):
    peer.open(options)
    peer.search(queries[0])
    measured = {"ready": time.perf_counter() - started}
    for threads in (1, options["threads"]):
        timed(lambda: peer.search, queries, threads)
        measured["found"], measured[f"speed {threads}"] = timed(lambda: peer.search, queries, threads)
    few = queries[: options["few"]]
    measured["filtered"], measured["filtered speed"] = timed(
        lambda: lambda query: peer.search(query, below=10), few, 1
    )
    measured["memory"] = memory_of(os.getpid())
    return measured


def main():
    name, phase, folder, options = sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
    vectors = np.load(options["vectors"], mmap_mode="r")
    queries = np.load(options["queries"])
    started = time.perf_counter()
    peer = PEERS[name](folder)
    measured = fill(peer, vectors, options) if phase == "fill" else search(peer, started, queries, options)
    peer.close()
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
