"""Matrices in blocks of 32 numbers along a row, of 8 bits with one f16 scale (embed/src/weights/compact.rs)."""

import numpy as np

BLOCK = 32


def put(tensors, name, matrix):
    """Adds `matrix` with 8 bits: NAME.q8 i8 [rows, columns], NAME.scale f16 [rows, blocks]."""
    matrix = np.ascontiguousarray(matrix, np.float32)
    blocks = matrix.reshape(len(matrix), -1, BLOCK)
    scale = (np.abs(blocks).max(2) / 127).astype(np.float16)
    codes = np.rint(blocks / np.maximum(scale.astype(np.float32), 1e-12)[..., None])
    tensors[f"{name}.q8"] = np.clip(codes, -127, 127).astype(np.int8).reshape(matrix.shape)
    tensors[f"{name}.scale"] = scale
