"""Deterministic vectors with cluster structure, and their true neighbours."""

import numpy as np


def clustered(count, dim, seed, centre_seed=1, per_cluster=500, spread=0.6):
    """Unit vectors around `count / per_cluster` centres; queries share centres, not seeds."""
    clusters = max(8, count // per_cluster)
    centres = np.random.default_rng(centre_seed).standard_normal((clusters, dim), dtype=np.float32)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    random = np.random.default_rng(seed)
    out = np.empty((count, dim), dtype=np.float32)
    for start in range(0, count, 50_000):
        end = min(start + 50_000, count)
        noise = random.standard_normal((end - start, dim), dtype=np.float32) / np.sqrt(dim)
        block = centres[random.integers(0, clusters, end - start)] + spread * noise
        out[start:end] = block / np.linalg.norm(block, axis=1, keepdims=True)
    return out


def queries_like(vectors, count, seed, spread=0.3):
    """Points near stored vectors, none of them stored."""
    random = np.random.default_rng(seed)
    chosen = vectors[random.choice(len(vectors), count, replace=False)]
    noise = random.standard_normal(chosen.shape, dtype=np.float32) / np.sqrt(chosen.shape[1])
    moved = chosen + spread * noise
    return (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)


def true_neighbours(vectors, queries, k, allowed=None):
    """The exact best `k`, among the positions `allowed` if given."""
    positions = np.arange(len(vectors)) if allowed is None else np.flatnonzero(allowed)
    best = [(np.empty((0,), np.float32), np.empty((0,), np.int64)) for _ in queries]
    for start in range(0, len(positions), 100_000):
        part = positions[start : start + 100_000]
        scores = queries @ vectors[part].T
        top = min(k, scores.shape[1])
        at = np.argpartition(-scores, top - 1, axis=1)[:, :top]
        for row, columns in enumerate(at):
            kept_scores, kept = best[row]
            merged = np.concatenate([kept_scores, scores[row, columns]])
            ids = np.concatenate([kept, part[columns]])
            order = np.argsort(-merged)[:k]
            best[row] = (merged[order], ids[order])
    return [set(ids.tolist()) for _, ids in best]


def recall(found, truth):
    """The proportion of the true neighbours that were found."""
    total = sum(len(best) for best in truth)
    return sum(len(best & set(ids)) for ids, best in zip(found, truth)) / max(total, 1)
