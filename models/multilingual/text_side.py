"""The text side of models/clipdb-multilingual in plain numpy and f32: the reference for other implementations.

`TextSide(folder)(texts)` gives unit vectors [n, 576]; formulas and tensor names are in README.md. Run, it compares
itself with the vectors in the model's golden.json.
"""

import json
import math
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

LAYERS = 9
TAPS = (4, 7, 9)
HEADS = 12
LONGEST = 256
EPSILON = 1e-12
BLOCK = 32
BRANCHES = ((2, 0), (3, 1), (5, 2))  # n-grams, and how many of their tokens lie to the left
USE_UNKNOWN = 0


def from_q4(packed, scale):
    """Byte j of a block has number j in its low half and number j + 16 in its high half, less 8."""
    codes = np.concatenate((packed & 15, packed >> 4), 2).astype(np.float32) - 8
    return (codes * scale[..., None].astype(np.float32)).reshape(len(packed), -1)


def from_q8(codes, scale):
    blocks = codes.reshape(len(codes), -1, BLOCK).astype(np.float32)
    return (blocks * scale[..., None].astype(np.float32)).reshape(codes.shape)


def unit(x):
    return x / ((x * x).sum() + EPSILON) ** 0.5


def relu(x):
    return np.maximum(x, 0)


def erf(x):
    """Abramowitz and Stegun, 7.1.26: in f32 the error is below 1e-6."""
    t = 1 / (1 + 0.3275911 * np.abs(x))
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return np.sign(x) * (1 - series * np.exp(-x * x))


def gelu(x):
    return 0.5 * x * (1 + erf(x / 2**0.5))


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


class TextSide:
    def __init__(self, folder):
        folder = Path(folder)
        self.stored, self.weights = {}, {}
        for path in sorted(folder.glob("text*.safetensors")):
            for name, tensor in load_file(path).items():
                self.stored[name.removeprefix("text_model.")] = tensor
        for name, tensor in self.stored.items():
            matrix, _, kind = name.rpartition(".")
            if "word_embeddings" in name or kind == "scale":
                continue  # the tables are read by rows
            if kind in ("q4", "q8"):
                whole = from_q4 if kind == "q4" else from_q8
                self.weights[matrix] = whole(tensor, self.stored[f"{matrix}.scale"])
            else:
                self.weights[name] = tensor.astype(np.float32)
        self.tokenizers = [Tokenizer.from_file(str(folder / f"{name}tokenizer.json")) for name in ("", "second_")]
        for tokenizer in self.tokenizers:
            tokenizer.no_padding()
            tokenizer.enable_truncation(LONGEST)

    def linear(self, x, name):
        y = x @ self.weights[f"{name}.weight"].T
        return y + self.weights[f"{name}.bias"] if f"{name}.bias" in self.weights else y

    def norm(self, x, name):
        x = x - x.mean(-1, keepdims=True)
        x /= np.sqrt((x * x).mean(-1, keepdims=True) + EPSILON)
        return x * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def e5(self, ids):
        """Token means after the fourth, seventh and ninth layer."""
        table = "e5.embeddings.word_embeddings.weight"
        x = from_q4(self.stored[f"{table}.q4"][ids], self.stored[f"{table}.scale"][ids])
        x += self.weights["e5.embeddings.position_embeddings.weight"][: len(ids)]
        x += self.weights["e5.embeddings.token_type_embeddings.weight"][0]
        x = self.norm(x, "e5.embeddings.LayerNorm")
        heads = lambda y: y.reshape(len(ids), HEADS, -1).transpose(1, 0, 2)
        taps = []
        for number in range(LAYERS):
            layer = f"e5.encoder.layer.{number}"
            q, k, v = (heads(self.linear(x, f"{layer}.attention.self.{part}")) for part in ("query", "key", "value"))
            mixed = softmax(q @ k.transpose(0, 2, 1) / q.shape[2] ** 0.5) @ v
            mixed = self.linear(mixed.transpose(1, 0, 2).reshape(len(ids), -1), f"{layer}.attention.output.dense")
            x = self.norm(x + mixed, f"{layer}.attention.output.LayerNorm")
            inner = gelu(self.linear(x, f"{layer}.intermediate.dense"))
            x = self.norm(x + self.linear(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
            if number + 1 in TAPS:
                taps.append(x.mean(0))
        return taps

    def use(self, ids):
        """512 numbers."""
        codes, step, low = (self.stored[f"use.word_embeddings.weight.{part}"][ids] for part in ("u8", "step", "low"))
        words = codes * step[:, None] + low[:, None]
        projected = self.norm(self.linear(words, "use.project"), "use.project_norm")
        parts = [words]
        for branch, (n, left) in enumerate(BRANCHES):
            y = np.split(projected, len(BRANCHES), 1)[branch]
            for layer in range(2):
                wide = np.pad(y, ((left, n - 1 - left), (0, 0)))
                grams = np.concatenate([wide[k : k + len(ids)] for k in range(n)], 1)
                y = y + relu(self.linear(grams, f"use.branches.{branch}.{layer}"))
            parts.append(y)
        features = self.norm(np.concatenate(parts, 1), "use.norm")
        mean = self.linear(features, "use.sum").sum(0) / len(ids) ** 0.5
        y0 = relu(self.linear(mean, "use.dense.0"))
        y1 = relu(self.linear(mean, "use.skip.1") + self.linear(y0, "use.dense.1"))
        y2 = relu(self.linear(y1, "use.dense.2"))
        return np.tanh(self.linear(y1, "use.skip.3") + self.linear(y2, "use.dense.3"))

    def head(self, taps, use, length, share):
        """`length`: E5's tokens; `share`: how much of the text USE can read."""
        w = self.weights
        e4, e7, e9 = map(unit, taps)
        ku = share * unit(use)
        c = unit(e9 - share * w["head.mean"][0] - (1 - share) * w["head.mean"][1])
        inner = self.linear(np.concatenate((e4, e7, e9, ku)), "head.inner")
        inner = relu(inner + share * w["head.inner.share"] + math.log(length) * w["head.inner.length"])
        return unit(self.linear(np.concatenate((ku, c)), "head.project") + self.linear(inner, "head.outer"))

    def vector(self, text):
        e5, use = (tokenizer.encode(text).ids for tokenizer in self.tokenizers)
        inner = use[1:-1]
        share = max(0.0, 1 - 3 * inner.count(USE_UNKNOWN) / max(1, len(inner)))
        return self.head(self.e5(e5), self.use(use), len(e5), share)

    def __call__(self, texts):
        return np.array([self.vector(text) for text in texts], np.float32)


if __name__ == "__main__":
    model = Path(__file__).resolve().parent.parent / "clipdb-multilingual"
    golden = json.loads((model / "golden.json").read_text())["texts"]
    vectors = TextSide(model)([row["text"] for row in golden])
    print("least cosine", min(float(a @ np.array(row["embedding"])) for a, row in zip(vectors, golden)))
