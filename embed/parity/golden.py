"""The location of golden files, and writing numbers, weights and images."""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

GOLDEN = Path(__file__).parent / "golden"
NORMS = (torch.nn.LayerNorm, torch.nn.BatchNorm2d)
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def folder(*names):
    path = GOLDEN.joinpath(*names)
    path.mkdir(parents=True, exist_ok=True)
    return path


def write_json(path, value, indent=1):
    separators = None if indent else (",", ":")
    path.write_text(json.dumps(value, ensure_ascii=False, indent=indent, separators=separators) + "\n", encoding="utf-8")


def write_tensors(path, tensors, metadata=None):
    plain = {name: torch.as_tensor(value).contiguous() for name, value in tensors.items()}
    save_file(plain, path, metadata=metadata)


def round_to(model, dtype):
    """Rounds the weights to `dtype` and back, so that the stored weights are the measured ones."""
    with torch.no_grad():
        for tensor in [*model.parameters(), *model.buffers()]:
            if tensor.is_floating_point():
                tensor.copy_(tensor.to(DTYPES[dtype]).float())


def write_weights(path, model, dtype, shards=1, extra=None, name="model.safetensors"):
    """Writes `model.safetensors` as transformers does, or shards with their index."""
    state = {name: value.to(DTYPES[dtype]) if value.is_floating_point() else value for name, value in model.state_dict().items()}
    state = {name: value.contiguous() for name, value in (state | (extra or {})).items()}
    if shards == 1:
        save_file(state, path / name, metadata={"format": "pt"})
        return
    names = sorted(state)
    cut = -(-len(names) // shards)
    weight_map = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        part = {name: state[name] for name in names[shard * cut : (shard + 1) * cut]}
        save_file(part, path / file, metadata={"format": "pt"})
        weight_map.update(dict.fromkeys(part, file))
    total = sum(value.numel() * value.element_size() for value in state.values())
    write_json(path / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": weight_map})


def enliven(model, generator, gain):
    """Moves weights away from the initialisation, where biases are zero, norms are one and all outputs are similar."""
    norms = {f"{name}.weight" for name, module in model.named_modules() if isinstance(module, NORMS)}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if name.endswith(("logit_scale", "logit_bias")):
                continue
            if name in norms:
                parameter.copy_(1 + 0.2 * noise)
            elif name.endswith("bias"):
                parameter.copy_(0.1 * noise)
            else:
                parameter.mul_(gain)


def enliven_batch_norms(model, batch, generator):
    """Computes statistics from images and perturbs them, so that each affects the result."""
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            norm.momentum = 1.0
        model.train()
        model(batch)
        for norm in norms:
            deviation = norm.running_var.sqrt()
            norm.running_mean.add_(0.2 * deviation * torch.randn(deviation.shape, generator=generator))
            norm.running_var.mul_(torch.exp(0.3 * torch.randn(deviation.shape, generator=generator)))
    model.eval()


def write_expected(path, dtype, texts, text_embeds, pictures=(), image_embeds=None, alike=0.98, **inputs):
    """Writes inputs and outputs, L2-normalised. Names of images are relative to `golden/`."""
    tensors = {"text_embeds": torch.nn.functional.normalize(text_embeds, dim=-1)} | inputs
    if image_embeds is not None:
        tensors["image_embeds"] = torch.nn.functional.normalize(image_embeds, dim=-1)
    apart = [spread(tensors[name]) for name in tensors if name.endswith("_embeds")]
    assert max(apart) < alike, (path.name, apart)
    write_tensors(path / "expected.safetensors", tensors)
    write_json(path / "expected.json", {"texts": list(texts), "pictures": list(pictures), "stored_as": dtype})


def spread(embeddings):
    """The highest cosine of two different rows: a golden file with equal rows would prove nothing."""
    rows = torch.nn.functional.normalize(embeddings.double(), dim=-1)
    cosines = rows @ rows.T
    cosines.fill_diagonal_(-1)
    return cosines.max().item()


def photograph(rng, width, height, noise=6.0):
    """Photographic-like content that compresses: soft gradients, hard shapes, and grain in one patch."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    picture = np.empty((height, width, 3))
    for channel in range(3):
        a, b, c, d = rng.uniform(0.5, 3.0, 2).tolist() + rng.uniform(0, 2 * np.pi, 2).tolist()
        picture[..., channel] = 128 + 60 * np.sin(a * x / max(width, 2) * 3 + c) + 55 * np.cos(b * y / max(height, 2) * 3 + d)
    for _ in range(6):
        colour = rng.uniform(0, 255, 3)
        cx, cy = rng.uniform(0, width), rng.uniform(0, height)
        radius = rng.uniform(0.05, 0.3) * max(min(width, height), 4)
        if rng.random() < 0.5:
            inside = (x - cx) ** 2 + (y - cy) ** 2 < radius**2
        else:
            inside = (abs(x - cx) < radius) & (abs(y - cy) < radius * 0.6)
        picture[inside] = 0.3 * picture[inside] + 0.7 * colour
    stripes = (x + y) % 7 < 3  # detail near the sampling limit, which requires antialiasing
    corner = (x < width * 0.3) & (y > height * 0.6)
    picture[stripes & corner] = 255 - picture[stripes & corner]
    top, left = int(rng.integers(0, max(height - 48, 1))), int(rng.integers(0, max(width - 48, 1)))
    patch = picture[top : top + 48, left : left + 48]
    patch += rng.normal(0, noise * 4, patch.shape)
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)
