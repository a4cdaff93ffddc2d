"""The sizes of `images/` with the preprocessing of families other than CLIP's."""

import numpy as np
import open_clip
from cn_clip.clip import image_transform
from PIL import Image
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from golden import GOLDEN, write_json, write_tensors
from images import SIZES

STRIDE = 8


def torchvision(transform):
    """8-bit pixels of a torchvision pipeline, before the two steps that create and normalise a tensor."""

    def pixels(image):
        for step in transform.transforms[:-2]:
            image = step(image)
        return np.asarray(image)

    return pixels


def siglip(size, resample):
    processor = SiglipImageProcessorPil(size={"height": size, "width": size}, resample=resample, do_rescale=False, do_normalize=False)
    return lambda image: np.asarray(processor(image)["pixel_values"][0]).transpose(1, 2, 0).astype(np.uint8)


def make():
    shortest = open_clip.transform.image_transform_v2(open_clip.transform.PreprocessCfg(size=224), is_train=False)
    squash = open_clip.transform.image_transform_v2(open_clip.transform.PreprocessCfg(size=240, resize_mode="squash", interpolation="bilinear"), is_train=False)
    kinds = {
        "open-clip-224": (torchvision(shortest), {}),
        "open-clip-240": (torchvision(squash), {"resize_mode": "squash", "interpolation": "bilinear"}),
        "siglip-224": (siglip(224, 3), {"image_processor_type": "SiglipImageProcessor", "size": {"height": 224, "width": 224}, "resample": 3}),
        "siglip-256": (siglip(256, 2), {"image_processor_type": "SiglipImageProcessor", "size": {"height": 256, "width": 256}, "resample": 2}),
        "chinese-clip-224": (torchvision(image_transform(224)), {"feature_extractor_type": "ChineseCLIPFeatureExtractor", "size": 224, "do_center_crop": False, "resample": 3}),
    }
    write_json(GOLDEN / "images/families.json", {kind: config for kind, (_, config) in kinds.items()})
    tensors = {}
    for kind, (pixels, _) in kinds.items():
        for name in [f"images/{width}x{height}.png" for width, height in SIZES] + ["open-clip-pictures/227x224.png"]:
            tensors[f"{kind}/{name}"] = np.ascontiguousarray(pixels(Image.open(GOLDEN / name))[::STRIDE, ::STRIDE])
    write_tensors(GOLDEN / "pixels-families.safetensors", tensors, {"stride": str(STRIDE)})
