"""A golden checkpoint of efficientnet_lite_pytorch's EfficientNet-Lite with random weights.

Lite2's depth (21 blocks) and image size (260), a fifth of its width. Batch-norm statistics are
computed from images and then perturbed, so that each affects the result.
"""

import numpy as np
import torch
from PIL import Image
from efficientnet_lite_pytorch import EfficientNet
from transformers import CLIPImageProcessorPil

from golden import enliven_batch_norms, folder, photograph, spread, write_json, write_tensors, write_weights

SIZE = 260
WIDTH, DEPTH, CLASSES = 0.2, 1.2, 10
PICTURES = ["a.png", "b.png"]


def network():
    torch.manual_seed(23)
    model = EfficientNet.from_name("efficientnet-lite2", width_coefficient=WIDTH, num_classes=CLASSES)
    generator = torch.Generator().manual_seed(23)
    rng = np.random.default_rng(5)
    batch = np.stack([photograph(rng, SIZE, SIZE) for _ in range(4)])
    batch = (torch.from_numpy(batch).permute(0, 3, 1, 2).float() - 127) / 128
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    with torch.no_grad():
        for norm in norms:
            norm.weight.copy_(1 + 0.2 * torch.randn(norm.weight.shape, generator=generator))
            norm.bias.copy_(0.3 + 0.3 * torch.randn(norm.bias.shape, generator=generator))
    model._global_params = model._global_params._replace(drop_connect_rate=None)
    enliven_batch_norms(model, batch, generator)
    return model.half().float().eval()  # rounded as in the file


def taps(model, pixels):
    """Spatial mean and maximum of the stem, every block and the head, by name; and the logits."""
    seen = {}

    def keep(name, value):
        seen[f"{name}.mean"] = value.mean(dim=(2, 3))
        seen[f"{name}.max"] = value.amax(dim=(2, 3))

    with torch.no_grad():
        x = model._swish(model._bn0(model._conv_stem(pixels)))
        keep("stem", x)
        for number, block in enumerate(model._blocks):
            x = block(x)
            keep(f"block.{number}", x)
        x = model._swish(model._bn1(model._conv_head(x)))
        keep("head", x)
        seen["logits"] = model(pixels)
    return seen


def make():
    path = folder("efficientnet-lite")
    rng = np.random.default_rng(17)
    for name in PICTURES:
        Image.fromarray(photograph(rng, SIZE, SIZE, noise=2)).save(path / name, optimize=True)
    model = network()
    processor = CLIPImageProcessorPil(size={"shortest_edge": SIZE}, crop_size=SIZE, image_mean=[127 / 255] * 3, image_std=[128 / 255] * 3)
    processor.save_pretrained(path)
    pixels = processor([Image.open(path / name) for name in PICTURES], return_tensors="pt")["pixel_values"].float()
    seen = taps(model, pixels)
    assert spread(seen["head.mean"]) < 0.99, spread(seen["head.mean"])
    write_weights(path, model, "float16")
    write_tensors(path / "expected.safetensors", seen)
    write_json(
        path / "config.json",
        {
            "model_type": "efficientnet-lite",
            "width_coefficient": WIDTH,
            "depth_coefficient": DEPTH,
            "image_size": SIZE,
            "num_classes": CLASSES,
            "batch_norm_eps": 1e-3,
            "blocks": len(model._blocks),
        },
    )
    write_json(path / "expected.json", {"pictures": PICTURES, "stored_as": "float16"})
