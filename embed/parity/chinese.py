"""Golden folders of Chinese-CLIP: transformers' ChineseCLIPModel, and the authors' own
`cn_clip` with its RN50, which exists only in that form.
"""

import numpy as np
import torch
from cn_clip.clip import model as cn_clip
from cn_clip.clip import image_transform
from PIL import Image
from safetensors.torch import save_file
from transformers import ChineseCLIPConfig, ChineseCLIPModel

import tiny_tokenizers
from golden import GOLDEN, enliven, enliven_batch_norms, folder, photograph, round_to, write_expected, write_json, write_weights

TEXTS = ["", "猫", "一只可爱的猫", "照片里有两只狗在雪地里玩", "a cat 🐱 café", "照片里有两只狗在雪地里玩，" * 20]
PICTURES = ["images/333x250.png", "images/97x131.png", "clip-pictures/a.png"]
CONTEXT = 52


def pixels(size):
    """The authors' preprocessing: both sides are resized to the tower's size."""
    return torch.stack([image_transform(size)(Image.open(GOLDEN / name)) for name in PICTURES])


def vit(path, seed):
    tokenizer = tiny_tokenizers.chinese(path)
    words = tokenizer.get_vocab_size()
    config = ChineseCLIPConfig(
        text_config=dict(vocab_size=words, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, max_position_embeddings=64),
        vision_config=dict(hidden_size=32, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2, image_size=224, patch_size=16),
        projection_dim=24,
    )
    torch.manual_seed(seed)
    model = ChineseCLIPModel(config).float().eval()
    enliven(model.text_model, torch.Generator().manual_seed(seed), gain=20.0)
    enliven(model.vision_model, torch.Generator().manual_seed(seed + 1), gain=5.0)
    round_to(model, "float16")
    config.architectures = ["ChineseCLIPModel"]
    config.save_pretrained(path)
    write_weights(path, model, "float16")
    # As in the hub's copies: a single number, and no crop.
    write_json(path / "preprocessor_config.json", {"crop_size": 224, "do_center_crop": False, "do_normalize": True, "do_resize": True, "feature_extractor_type": "ChineseCLIPFeatureExtractor", "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711], "resample": 3, "size": 224})
    ids, mask = tiny_tokenizers.rows(tokenizer, TEXTS, CONTEXT, 0)
    with torch.no_grad():
        out = model(input_ids=ids, attention_mask=mask, pixel_values=pixels(224))
    write_expected(path, "float16", TEXTS, out.text_embeds, PICTURES, out.image_embeds, alike=0.99)


def rn50(path, seed):
    tokenizer = tiny_tokenizers.chinese(path)
    shape = {"embed_dim": 24, "image_resolution": 224, "vision_layers": "[3,4,6,3]", "vision_width": 4, "vision_patch_size": None, "vision_head_width": 4}
    text = {"vocab_size": tokenizer.get_vocab_size(), "text_attention_probs_dropout_prob": 0.1, "text_hidden_act": "gelu", "text_hidden_dropout_prob": 0.1, "text_hidden_size": 32, "text_initializer_range": 0.02, "text_intermediate_size": 64, "text_max_position_embeddings": 64, "text_num_attention_heads": 2, "text_num_hidden_layers": 3, "text_type_vocab_size": 2}
    write_json(path / "config.json", shape | text)
    torch.manual_seed(seed)
    model = cn_clip.CLIP(**(shape | {"vision_layers": [3, 4, 6, 3]}), **text).float()
    generator = torch.Generator().manual_seed(seed)
    enliven(model, generator, gain=1.5)
    rng = np.random.default_rng(seed)
    batch = np.stack([photograph(rng, 224, 224) for _ in range(4)])
    enliven_batch_norms(model.visual, torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 60 - 2, generator)
    with torch.no_grad():
        for name, parameter in model.bert.named_parameters():
            if name.endswith("weight") and "LayerNorm" not in name:
                parameter.mul_(6)
    round_to(model.eval(), "float16")
    state = {f"module.{name}": value.half() if value.is_floating_point() else value for name, value in model.state_dict().items()}
    save_file({name: value.contiguous() for name, value in state.items()}, path / "model.safetensors")
    ids, _ = tiny_tokenizers.rows(tokenizer, TEXTS, CONTEXT, 0, to=CONTEXT)
    with torch.no_grad():
        texts, images = model.encode_text(ids), model.encode_image(pixels(224))
    write_expected(path, "float16", TEXTS, texts, PICTURES, images, alike=0.99)


def make():
    vit(folder("chinese-clip-vit-b-16"), 600)
    rn50(folder("cn-clip-rn50"), 601)
