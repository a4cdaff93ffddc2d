"""Sizes and aspect ratios with transformers' Pillow-based CLIP processor."""

import os
from pathlib import Path

import numpy as np
from PIL import Image
from transformers import CLIPImageProcessorPil

from golden import GOLDEN, folder, photograph, write_json, write_tensors

SIZES = [
    (1, 1), (1, 9), (2, 3), (7, 5), (16, 16), (37, 53), (64, 300), (97, 131), (223, 225), (224, 224),
    (225, 224), (260, 260), (297, 297), (150, 448), (333, 250), (301, 299), (640, 97), (400, 20), (480, 270), (256, 384),
    (320, 213),
]
PROCESSORS = {
    "clip": dict(size={"shortest_edge": 224}, crop_size={"height": 224, "width": 224}),
    "bundled": dict(size={"shortest_edge": 297}, crop_size={"height": 260, "width": 260}, image_mean=[127 / 255] * 3, image_std=[128 / 255] * 3),
}


def make_pictures(path):
    rng = np.random.default_rng(1234)
    for number, (width, height) in enumerate(SIZES):
        image = Image.fromarray(photograph(rng, width, height))
        image.save(path / f"{width}x{height}.png", optimize=True)
        # All chroma subsamplings; every second file is progressive.
        image.save(path / f"{width}x{height}.jpg", quality=85, subsampling=number % 3, progressive=number % 2 == 1)


def reference(path, file, stride):
    """8-bit pixels after resizing and cropping, before rescaling, as height x width x 3."""
    tensors = {}
    for name in sorted(os.listdir(path)):
        if not name.endswith((".png", ".jpg")):
            continue
        for kind, settings in PROCESSORS.items():
            processor = CLIPImageProcessorPil(**settings, do_rescale=False, do_normalize=False)
            pixels = np.asarray(processor(Image.open(path / name))["pixel_values"][0]).transpose(1, 2, 0)
            tensors[f"{kind}/{name}"] = np.ascontiguousarray(pixels[::stride, ::stride]).astype(np.uint8)
    write_tensors(file, tensors, {"stride": str(stride)})


def make():
    path = folder("images")
    make_pictures(path)
    for kind, settings in PROCESSORS.items():
        write_json(path / f"{kind}.json", CLIPImageProcessorPil(**settings).to_dict() | {"resample": 3})
    reference(path, GOLDEN / "pixels.safetensors", stride=4)


def every_pixel(folder_path: Path):
    reference(GOLDEN / "images", folder_path / "pixels.safetensors", stride=1)
