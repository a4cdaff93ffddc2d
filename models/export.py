"""Writes models/clipdb-mini: configuration, f16 shards, tokenizer, and golden vectors made from what was written.

Usage: export.py [head.pt]. Numbers that f16 would hurt (batch norms, standardisation, biases) stay f32.
"""

import json
import sys

import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import drawings
from augment import render
from networks import (
    HEAD_MEANS,
    FEATURES,
    IMAGE_SIZE,
    SHORTEST_EDGE,
    TAPS,
    SentenceModel,
    Taps,
    cropped,
    image_network,
    over_white,
    normalised,
)
from paths import HEADS, MODEL
from projection import Branch, classes_branch, image_vectors, load_head

LICENCE = "Apache-2.0"
GOLDEN_TEXTS = [
    "a photo of a cat",
    "Dog face",
    "",
    "feeling sick 🤒 & tired",
    "naïve café, 北京",
    "It is a truth universally acknowledged, that a single man in possession of a good fortune, "
    "must be in want of a wife. " * 16,  # both lines, 16 times: over the limit of 256 tokens
]
GOLDEN_DRAWINGS = ("dog-face", "red-apple", "umbrella", "grinning-face", "castle")
GOLDEN_PIXELS = 128


def half(tensors, keep):
    """f16, except where `keep` says that a name stays f32."""
    return {name: (t.float() if keep(name) else t.half()).contiguous() for name, t in tensors.items()}


def text_tensors(sentences):
    state = sentences.network.state_dict()
    kept = {name: t for name, t in state.items() if not name.startswith("pooler") and not name.endswith("_ids")}
    return half({f"text_model.{name}": t for name, t in kept.items()}, lambda name: "LayerNorm" in name)


def image_tensors(network):
    state = network.state_dict()
    kept = {name: t for name, t in state.items() if not name.startswith("_fc") and "num_batches" not in name}
    return half({f"vision_model.{name}": t for name, t in kept.items()}, lambda name: "_bn" in name)


def projection_tensors(branches):
    tensors = {}
    for label, branch in branches.items():
        for name, tensor in branch.state_dict().items():
            if label == "drawings" or name not in ("mean", "std"):
                tensors[f"image_projection.{label}.{name}"] = tensor
    return half(tensors, lambda name: not name.endswith(("hidden.weight", "output.weight")))


def config(sentences, branches):
    text = json.loads((sentences.folder / "config.json").read_text())
    limit = json.loads((sentences.folder / "sentence_bert_config.json").read_text())["max_seq_length"]
    spans = {"classes": HEAD_MEANS, "drawings": (0, FEATURES)}
    return {
        "model_type": "clipdb-dual-encoder",
        "name": "clipdb-mini",
        "embedding_dim": 384,
        "license": LICENCE,
        "logit_scale": 20.0,
        "text_config": {**text, "model_type": "bert", "pooling": "mean", "max_length": limit},
        "vision_config": {
            "model_type": "efficientnet-lite",
            "variant": "lite2",
            "width_coefficient": 1.1,
            "depth_coefficient": 1.2,
            "image_size": IMAGE_SIZE,
            "batch_norm_eps": 1e-3,
            "stages": [{"tap": tap, "pooling": ["mean", "max"]} for tap in TAPS],
        },
        "image_projection": {
            "branches": [
                {"name": name, "input": list(spans[name]), "activation": "relu", "gate": branch.gate is not None}
                for name, branch in branches.items()
            ]
        },
    }


def preprocessor_config():
    return {
        "do_resize": True,
        "size": {"shortest_edge": SHORTEST_EDGE},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": IMAGE_SIZE, "width": IMAGE_SIZE},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [127 / 255] * 3,
        "image_std": [128 / 255] * 3,
        "do_convert_rgb": True,
    }


def write_json(name, content, indent=1):
    (MODEL / name).write_text(json.dumps(content, indent=indent, ensure_ascii=False) + "\n")


def rounded(vector):
    return [round(number, 6) for number in vector.tolist()]


def write_tokenizer(sentences):
    tokenizer = json.loads((sentences.folder / "tokenizer.json").read_text())
    tokenizer.update(truncation=None, padding=None)
    (MODEL / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")))


def write_shards(shards):
    index = {"metadata": {"total_size": 0}, "weight_map": {}}
    for name, tensors in shards.items():
        path = MODEL / f"{name}.safetensors"
        save_file(tensors, path, metadata={"format": "pt"})
        path.chmod(0o644)
        index["metadata"]["total_size"] += sum(t.numel() * t.element_size() for t in tensors.values())
        index["weight_map"].update(dict.fromkeys(tensors, f"{name}.safetensors"))
    write_json("model.safetensors.index.json", index)


def shard(name, prefix):
    tensors = load_file(MODEL / f"{name}.safetensors")
    return {key.removeprefix(prefix): t.float() for key, t in tensors.items() if key.startswith(prefix)}


def exported_image_side():
    """(network, branches) as the written shards have them, in f32."""
    network = image_network()
    network.load_state_dict(shard("image", "vision_model."), strict=False)
    branches = []
    for entry in json.loads((MODEL / "config.json").read_text())["image_projection"]["branches"]:
        tensors = shard("projection", f"image_projection.{entry['name']}.")
        branch = Branch(entry["input"], len(tensors["hidden.bias"]), entry["gate"])
        branch.load_state_dict(tensors, strict=False)
        branches.append(branch.eval())
    return network, branches


@torch.inference_mode()
def write_golden(sentences):
    """Texts by the sentence model in f32, drawings by the exported weights, for the server's parity tests."""
    folder = MODEL / "golden"
    folder.mkdir(exist_ok=True)
    network, branches = exported_image_side()
    vectors = sentences.encode(GOLDEN_TEXTS)
    texts = [{"text": text, "embedding": rounded(vector)} for text, vector in zip(GOLDEN_TEXTS, vectors)]
    images = []
    for icon in GOLDEN_DRAWINGS:
        path = folder / f"{icon}.png"
        render(drawings.svg_of("noto", icon), GOLDEN_PIXELS).save(path)
        pixels = torch.from_numpy(normalised(cropped(over_white(Image.open(path)))))[None]
        features = Taps(network)(pixels)
        vector = image_vectors(branches, features)[0]
        images.append({"file": f"golden/{path.name}", "features": rounded(features[0]), "embedding": rounded(vector)})
    write_json("golden.json", {"texts": texts, "images": images}, indent=None)


def main(head):
    MODEL.mkdir(exist_ok=True)
    torch.set_num_threads(2)
    sentences, network = SentenceModel(), image_network()
    branches = {"classes": classes_branch(network, sentences), "drawings": load_head(head)}
    write_json("config.json", config(sentences, branches))
    write_json("preprocessor_config.json", preprocessor_config())
    write_tokenizer(sentences)
    write_shards(
        {"text": text_tensors(sentences), "image": image_tensors(network), "projection": projection_tensors(branches)}
    )
    write_golden(sentences)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else HEADS / "final.pt")
