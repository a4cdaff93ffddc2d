"""Golden folders in OpenCLIP's layout, from open_clip_torch with seeded random weights.

Each ViT and each ResNet of OpenCLIP, scaled down: patch, image size, context and the ratios of heads
and hidden layers are unchanged; widths shrink, and depths if they are just a number.
"""

from collections import OrderedDict

import numpy as np
import open_clip
import torch
from PIL import Image
from safetensors.torch import load_file

from golden import GOLDEN, enliven, enliven_batch_norms, folder, photograph, round_to, write_expected, write_json, write_weights
from tokens import CLIP_CONTEXT, clip_tokenizer, save_compact

TEXTS = ["", "cat", "a photo of a cat", "Two dogs playing in the snow, at night!", "猫 🐱 café", "a photo of a cat " * 30]
# A crop with an odd margin, which torchvision and transformers round differently; one to resize; one that fits.
PICTURES = ["open-clip-pictures/227x224.png", "images/333x250.png", "clip-pictures/a.png"]
MERGES = 86  # 600 tokens with the 512 letters and the two special tokens
HALVES = dict(mean=[0.5] * 3, std=[0.5] * 3)
OPENAI = dict(mean=list(open_clip.OPENAI_DATASET_MEAN), std=list(open_clip.OPENAI_DATASET_STD))

# name: vision_cfg, text (width, heads, layers), embed_dim, the rest of model_cfg, preprocess_cfg, file
VITS = {
    "vit-b-32": (dict(image_size=224, layers=2, width=32, head_width=16, patch_size=32), (32, 2, 2), 24, dict(quick_gelu=True), OPENAI, "open_clip_model.safetensors"),
    "vit-b-16": (dict(image_size=224, layers=2, width=32, head_width=16, patch_size=16), (32, 2, 2), 24, {}, OPENAI | dict(interpolation="bicubic", resize_mode="shortest"), "open_clip_pytorch_model.safetensors"),
    "vit-b-16-plus-240": (dict(image_size=240, layers=2, width=28, head_width=14, patch_size=16), (40, 2, 2), 20, {}, OPENAI, "open_clip_model.safetensors"),
    # LAION-2B's ViT-L/14 is normalised with 0.5.
    "vit-l-14": (dict(image_size=224, layers=2, width=32, head_width=16, patch_size=14), (24, 2, 2), 24, {}, HALVES, "open_clip_model.safetensors"),
    "vit-l-14-336": (dict(image_size=336, layers=2, width=32, head_width=16, patch_size=14), (24, 2, 2), 24, dict(quick_gelu=True), OPENAI, "open_clip_model.safetensors"),
    "vit-h-14": (dict(image_size=224, layers=2, width=40, head_width=20, patch_size=14), (32, 2, 2), 32, {}, OPENAI | dict(resize_mode="squash"), "open_clip_model.safetensors"),
    "vit-g-14": (dict(image_size=224, layers=2, width=44, head_width=22, mlp_ratio=4.3637, patch_size=14), (32, 2, 2), 32, {}, OPENAI, "open_clip_model.safetensors"),
    "vit-bigg-14": (dict(image_size=224, layers=2, width=52, head_width=26, mlp_ratio=4.9231, patch_size=14), (40, 2, 2), 40, dict(custom_text=True), OPENAI, "open_clip_model.safetensors"),
}
RESNETS = {
    "rn50": dict(image_size=224, layers=[3, 4, 6, 3], width=4, head_width=4),
    "rn101": dict(image_size=224, layers=[3, 4, 23, 3], width=4, head_width=4),
    "rn50x4": dict(image_size=288, layers=[1, 2, 3, 2], width=4, head_width=8),
    "rn50x16": dict(image_size=384, layers=[1, 2, 4, 2], width=4, head_width=8),
    "rn50x64": dict(image_size=448, layers=[1, 3, 6, 2], width=4, head_width=16),
}


def preprocessing(model_cfg, preprocess_cfg):
    """OpenCLIP's own preprocessing for this folder."""
    config = open_clip.transform.PreprocessCfg(size=model_cfg["vision_cfg"]["image_size"], **preprocess_cfg)
    return open_clip.transform.image_transform_v2(config, is_train=False)


def pixels_of(model_cfg, preprocess_cfg, names=PICTURES):
    transform = preprocessing(model_cfg, preprocess_cfg)
    return torch.stack([transform(Image.open(GOLDEN / name)) for name in names])


def simple_ids(tokenizer, texts):
    """The output of OpenCLIP's SimpleTokenizer: zeros after the end of text."""
    rows = torch.zeros(len(texts), CLIP_CONTEXT, dtype=torch.long)
    for row, text in zip(rows, texts):
        ids = tokenizer(text, truncation=True, max_length=CLIP_CONTEXT)["input_ids"]
        row[: len(ids)] = torch.tensor(ids)
    return rows


def write_folder(path, model, model_cfg, preprocess_cfg, dtype, file):
    write_json(path / "open_clip_config.json", {"model_cfg": model_cfg, "preprocess_cfg": preprocess_cfg})
    write_weights(path, model, dtype, name=file)


def vit(seed, name, tokenizer):
    vision, (width, heads, layers), dim, rest, preprocess_cfg, file = VITS[name]
    text = dict(context_length=CLIP_CONTEXT, vocab_size=len(tokenizer), width=width, heads=heads, layers=layers)
    model_cfg = dict(embed_dim=dim, vision_cfg=vision, text_cfg=text, **rest)
    arguments = {key: value for key, value in model_cfg.items() if key != "custom_text"}
    torch.manual_seed(seed)
    model = (open_clip.CustomTextCLIP if "custom_text" in rest else open_clip.CLIP)(**arguments).float().eval()
    enliven(model, torch.Generator().manual_seed(seed), gain=4.0)
    finish(f"open-clip-{name}", model, model_cfg, preprocess_cfg, tokenizer, file)


def resnet(seed, name, tokenizer):
    vision = RESNETS[name]
    text = dict(context_length=CLIP_CONTEXT, vocab_size=len(tokenizer), width=24, heads=2, layers=2)
    model_cfg = dict(embed_dim=24, quick_gelu=True, vision_cfg=vision, text_cfg=text)
    torch.manual_seed(seed)
    model = open_clip.CLIP(**model_cfg).float()
    generator = torch.Generator().manual_seed(seed)
    enliven(model, generator, gain=1.5)
    rng = np.random.default_rng(seed)
    side = vision["image_size"]
    batch = np.stack([photograph(rng, side, side) for _ in range(4)])
    enliven_batch_norms(model.visual, torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 60 - 2, generator)
    model.eval()
    finish(f"open-clip-{name}", model, model_cfg, OPENAI, tokenizer, "open_clip_model.safetensors")


def finish(name, model, model_cfg, preprocess_cfg, tokenizer, file, dtype="float16"):
    path = folder(name)
    round_to(model, dtype)
    write_folder(path, model, model_cfg, preprocess_cfg, dtype, file)
    save_compact(tokenizer, path / "tokenizer.json")
    ids = simple_ids(tokenizer, TEXTS)
    pixels = pixels_of(model_cfg, preprocess_cfg)
    with torch.no_grad():
        texts, images = model.encode_text(ids), model.encode_image(pixels)
    write_expected(path, dtype, TEXTS, texts, PICTURES, images, alike=0.99)


def pickle():
    """The weights of one model in a checkpoint by `torch.save`, with other entries that a checkpoint may have."""
    state = load_file(GOLDEN / "open-clip-vit-l-14/open_clip_model.safetensors")
    state["turned"] = state["visual.proj"].T  # not contiguous
    state["counter"] = torch.tensor(7)
    whole = torch.arange(12, dtype=torch.float32)
    state["part"] = whole[4:10].view(2, 3)  # starts inside its storage
    state["parameter"] = torch.nn.Parameter(torch.ones(3, dtype=torch.bfloat16))
    path = folder("pickle") / "open_clip_pytorch_model.bin"
    torch.save({"epoch": 3, "name": "vit-l-14", "optimizer": {"lr": 1e-3, "steps": [1, 2**40]}, "state_dict": OrderedDict(state)}, path)


def make():
    pictures = folder("open-clip-pictures")
    Image.fromarray(photograph(np.random.default_rng(8), 227, 224, noise=2)).save(pictures / "227x224.png", optimize=True)
    tokenizer = clip_tokenizer(MERGES)
    for seed, name in enumerate(VITS):
        vit(200 + seed, name, tokenizer)
    pickle()
    for seed, name in enumerate(RESNETS):
        resnet(220 + seed, name, tokenizer)
