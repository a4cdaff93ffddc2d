"""Matrices in blocks of 32 numbers along a row, of 4 or 8 bits with one f16 scale (embed/src/weights/compact.rs)."""

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


def get(tensors, name):
    """A tensor in f32, in whichever form it is stored."""
    if name in tensors:
        return tensors[name].astype(np.float32)
    if f"{name}.q4" in tensors:
        return rows_of_4_bits(tensors, name, slice(None))
    codes, scale = tensors[f"{name}.q8"], tensors[f"{name}.scale"].astype(np.float32)
    blocks = codes.reshape(len(codes), -1, BLOCK) * scale[..., None]
    return blocks.reshape(codes.shape)


def rows_of_4_bits(tensors, name, rows):
    """Some rows of a matrix with 4 bits: byte j of a block has number j low and number j + 16 high, less 8."""
    packed, scale = tensors[f"{name}.q4"][rows], tensors[f"{name}.scale"][rows].astype(np.float32)
    codes = np.concatenate((packed & 15, packed >> 4), 2).astype(np.float32) - 8
    return (codes * scale[..., None]).reshape(len(packed), -1)
