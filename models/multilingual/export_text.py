"""Writes the text side of models/clipdb-multilingual: text.safetensors, both tokenizers, and golden vectors.

Usage: export_text.py SIDE.npz (a trained side as train.py writes it). Nothing of the wheels is lost: E5's table and
untrained layers keep their blocks of 4 bits, USE's table its 6 bits. Matrices that were trained, and USE's, have 8.
"""

import json
import sys

import numpy as np
from safetensors.numpy import save_file

import compact
from e5file import LAYERS, PARTS, E5File
from paths import MODEL, USE_FILES
from tokenizers_of import LONGEST, e5_tokenizer, use_tokenizer

ENDS = {"w": "weight", "b": "bias"}


def e5_tensors(trained):
    """`trained`: matrices and vectors by "l{kept layer}.{name}" that replace the wheel's."""
    file = E5File()
    tensors = {}

    def copied(name, source, columns):
        scale, nibbles = file.blocks(source)
        tensors[f"{name}.scale"] = scale.reshape(-1, columns // compact.BLOCK)
        codes = nibbles[:, :16] | nibbles[:, 16:] << 4
        tensors[f"{name}.q4"] = codes.reshape(*tensors[f"{name}.scale"].shape, 16)

    copied("embeddings.word_embeddings.weight", "emb.word", 384)
    positions = file.tensor("emb.pos", 384) + file.tensor("emb.type", 384)[0]
    tensors["embeddings.position_embeddings.weight"] = positions[:LONGEST].astype(np.float16)
    # Positions have the type's numbers in them.
    tensors["embeddings.token_type_embeddings.weight"] = np.zeros((1, 384), np.float16)
    for end, name in ENDS.items():
        tensors[f"embeddings.LayerNorm.{name}"] = file.tensor(f"emb.ln.{end}")
    for number, layer in enumerate(LAYERS):
        for part, name in PARTS.items():
            for end in ENDS:
                source, target = f"l{layer}.{part}.{end}", f"encoder.layer.{number}.{name}.{ENDS[end]}"
                new = trained.get(f"l{number}.{part}.{end}")
                if end == "b" or part.endswith("ln"):
                    tensors[target] = file.tensor(source) if new is None else np.asarray(new, np.float32)
                elif new is None or np.array_equal(new, file.tensor(source, new.shape[1])):
                    copied(target, source, 1536 if part == "fo" else 384)
                else:
                    compact.put(tensors, target, new)
    return tensors


def use_tensors():
    with np.load(USE_FILES / "weights.npz") as file:
        w = {name: file[name] for name in file.files}
    table = np.stack([w[f"q{n + 1}"] for n in range(17)], 1).reshape(-1, 512)[:128000]
    part = np.arange(len(table)) % 17
    tensors = {
        "word_embeddings.weight.u8": table,
        "word_embeddings.weight.step": w["scale"][part].astype(np.float32),
        "word_embeddings.weight.low": w["lo"][part].astype(np.float32),
    }
    branches = (2, 3, 5)
    joined = lambda kind: np.concatenate([w[kind.format(n)] for n in branches], -1)
    compact.put(tensors, "project.weight", joined("proj{}").T)
    tensors.update({"project.bias": joined("proj_b{}")})
    tensors.update({"project_norm.weight": joined("ln_g{}"), "project_norm.bias": joined("ln_b{}")})
    for branch, n in enumerate(branches):
        for layer in (1, 2):
            compact.put(tensors, f"branches.{branch}.{layer - 1}.weight", w[f"w{layer}_{n}"].T)
            tensors[f"branches.{branch}.{layer - 1}.bias"] = w[f"b{layer}_{n}"]
    tensors.update({"norm.weight": w["ln_g"], "norm.bias": w["ln_b"], "sum.bias": w["cnn_b"]})
    matrices = {"sum": "cnn_W", "skip.1": "p1", "skip.3": "p3", **{f"dense.{n}": f"d{n}" for n in range(4)}}
    for name, source in matrices.items():
        compact.put(tensors, f"{name}.weight", w[source].T)
    return tensors


def head_tensors(side):
    """The standardisation of training is folded into the inner matrix, so that it reads the features as they come."""
    width = 3 * 384 + 512
    inner = (side["p.A"] / side["f.scale"][:, None]).T
    tensors = {
        "mean": side["f.mean"],
        "inner.bias": side["p.a"] - inner @ side["f.center"],
        "inner.share": inner[:, width],
        "inner.length": inner[:, width + 1],
        "outer.bias": side["p.s"],
    }
    compact.put(tensors, "inner.weight", inner[:, :width])
    compact.put(tensors, "outer.weight", side["p.B"].T)
    compact.put(tensors, "project.weight", side["p.P"])
    return tensors


def main(path):
    side = dict(np.load(path))
    MODEL.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, part in (("e5", e5_tensors(side)), ("use", use_tensors()), ("head", head_tensors(side))):
        for key, tensor in part.items():
            kind = np.float32 if tensor.dtype == np.float64 else tensor.dtype
            tensors[f"text_model.{name}.{key}"] = np.ascontiguousarray(tensor, kind)
        print(name, round(sum(tensor.nbytes for tensor in part.values()) / 1e6, 1), "MB")
    # Two shards: some services that hold repositories take no file of 100 MB.
    words = {key: tensor for key, tensor in tensors.items() if ".word_embeddings." in key and ".use." in key}
    rest = {key: tensor for key, tensor in tensors.items() if key not in words}
    for name, part in (("text", rest), ("text-words", words)):
        save_file(part, MODEL / f"{name}.safetensors", metadata={"format": "pt"})
        (MODEL / f"{name}.safetensors").chmod(0o644)
    for name, content in (("tokenizer", e5_tokenizer()), ("second_tokenizer", use_tokenizer())):
        content["truncation"] = None
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        (MODEL / f"{name}.json").write_text(text)


if __name__ == "__main__":
    main(sys.argv[1])
