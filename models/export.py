"""Writes the image side of models/clipdb-multilingual, its configuration, and golden vectors made from what was written.

Usage: export.py [head.pt]. The text side is there already (multilingual/export_text.py), and the image network is
clipdb-mini's file. Numbers that f16 would hurt (standardisation, biases) stay f32.
"""

import json
import sys

import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from networks import FEATURES, HEAD_MEANS, KeptTexts, Taps, cropped, image_network, normalised, over_white
from multilingual.text_side import TextSide
from paths import HEADS, MINI, MODEL
from projection import DIMENSIONS, Branch, classes_branch, image_vectors, finished_head

LICENCE = "Apache-2.0 AND MIT"
# Of these USE reads Chinese and Arabic, not Hindi.
GOLDEN_TEXTS = [
    "一张小狗的照片",
    "क़िला",
    "صورة قطة",
    "a photo of a cat",
    "Dog face",
    "",
    "feeling sick 🤒 & tired",
    "naïve café, 北京",
    "It is a truth universally acknowledged, that a single man in possession of a good fortune, "
    "must be in want of a wife. " * 16,  # both lines, 16 times: over the limit of 256 tokens
]
GOLDEN_DRAWINGS = ("dog-face", "red-apple", "umbrella", "grinning-face", "castle")


def half(tensors, keep):
    """f16, except where `keep` says that a name stays f32."""
    return {name: (t.float() if keep(name) else t.half()).contiguous() for name, t in tensors.items()}


def projection_tensors(branches):
    tensors = {}
    for label, branch in branches.items():
        for name, tensor in branch.state_dict().items():
            if label == "drawings" or name not in ("mean", "std"):
                tensors[f"image_projection.{label}.{name}"] = tensor
    return half(tensors, lambda name: not name.endswith(("hidden.weight", "output.weight")))


def config(branches):
    spans = {"classes": HEAD_MEANS, "drawings": (0, FEATURES)}
    mini = json.loads((MINI / "config.json").read_text())
    return {
        "model_type": "clipdb-dual-encoder",
        "name": "clipdb-multilingual",
        "embedding_dim": DIMENSIONS,
        "license": LICENCE,
        "logit_scale": 20.0,
        "text_config": {
            "model_type": "multilingual_text",
            "e5": {
                "vocab_size": 250037,
                "hidden_size": 384,
                "intermediate_size": 1536,
                "num_hidden_layers": 9,
                "num_attention_heads": 12,
                "max_position_embeddings": 256,
                "type_vocab_size": 1,
                "hidden_act": "gelu",
                "layer_norm_eps": 1e-12,
                "pooling": "mean",
                "taps": [4, 7, 9],
            },
            "use": {"vocab_size": 128000},
        },
        "vision_config": mini["vision_config"],
        "image_projection": {
            "branches": [
                {"name": name, "input": list(spans[name]), "activation": "relu", "gate": branch.gate is not None}
                for name, branch in branches.items()
            ]
        },
    }


def write_json(name, content, indent=1):
    (MODEL / name).write_text(json.dumps(content, indent=indent, ensure_ascii=False) + "\n")


def rounded(vector):
    return [round(number, 6) for number in vector.tolist()]


def write_index():
    """Where each tensor is, in the shards of this model and in clipdb-mini's image network."""
    index = {"metadata": {"total_size": 0}, "weight_map": {}}
    for folder, name in ((MODEL, "text"), (MODEL, "text-words"), (MINI, "image"), (MODEL, "projection")):
        tensors = load_file(folder / f"{name}.safetensors")
        index["metadata"]["total_size"] += sum(t.numel() * t.element_size() for t in tensors.values())
        index["weight_map"].update(dict.fromkeys(tensors, f"{name}.safetensors"))
    write_json("model.safetensors.index.json", index)


def shard(path, prefix):
    tensors = load_file(path)
    return {key.removeprefix(prefix): t.float() for key, t in tensors.items() if key.startswith(prefix)}


def exported_image_side():
    """(network, branches) as the written shards have them, in f32."""
    network = image_network()
    network.load_state_dict(shard(MINI / "image.safetensors", "vision_model."), strict=False)
    branches = []
    for entry in json.loads((MODEL / "config.json").read_text())["image_projection"]["branches"]:
        tensors = shard(MODEL / "projection.safetensors", f"image_projection.{entry['name']}.")
        branch = Branch(entry["input"], len(tensors["hidden.bias"]), entry["gate"])
        branch.load_state_dict(tensors, strict=False)
        branches.append(branch.eval())
    return network, branches


@torch.inference_mode()
def write_golden():
    """Texts by the reference of the text side, drawings by the exported weights, for the server's parity tests."""
    network, branches = exported_image_side()
    vectors = TextSide(MODEL)(GOLDEN_TEXTS)
    written = [{"text": text, "embedding": rounded(vector)} for text, vector in zip(GOLDEN_TEXTS, vectors)]
    images = []
    for icon in GOLDEN_DRAWINGS:
        file = MINI / "golden" / f"{icon}.png"
        pixels = torch.from_numpy(normalised(cropped(over_white(Image.open(file)))))[None]
        features = Taps(network)(pixels)
        vector = image_vectors(branches, features)[0]
        images.append({"file": file.name, "features": rounded(features[0]), "embedding": rounded(vector)})
    write_json("golden.json", {"texts": written, "images": images}, indent=None)


def main(head):
    torch.set_num_threads(2)
    texts = KeptTexts()
    branches = {"classes": classes_branch(image_network(), texts), "drawings": finished_head(head)}
    write_json("config.json", config(branches))
    save_file(projection_tensors(branches), MODEL / "projection.safetensors", metadata={"format": "pt"})
    (MODEL / "projection.safetensors").chmod(0o644)
    write_index()
    write_golden()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else HEADS / "final.pt")
