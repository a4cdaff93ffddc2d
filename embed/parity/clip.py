"""Golden checkpoints of transformers.CLIPModel with seeded random weights.

Scaled down from the ViT-B/32, ViT-B/16 and ViT-L/14 configurations: patch, image size and context
are unchanged, widths and depths shrink, heads keep their ratio to the width.
"""

import numpy as np
import torch
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

from golden import GOLDEN, enliven, folder, photograph, round_to, write_expected, write_weights
from tokens import CLIP_CONTEXT, clip_tokenizer, save_compact

PICTURES = ["clip-pictures/a.png", "clip-pictures/b.png", "clip-pictures/c.png"]
TEXTS = ["", "cat", "a photo of a cat", "Two dogs playing in the snow, at night!", "猫 🐱 café", "a photo of a cat " * 30]
MERGES = 486  # 1,000 tokens with the 512 letters and the two special tokens

# Together they cover both activations, a single file and shards, f32, f16 and bf16, and the end of
# text by its id and (id 2, as in OpenAI's own files) as the highest id.
CHECKPOINTS = {
    "clip-vit-base-patch32": dict(patch=32, vision=(64, 2, 3), text=(64, 2, 2), projection=48, act="quick_gelu", eos=2, dtype="float32", shards=3),
    "clip-vit-base-patch16": dict(patch=16, vision=(64, 2, 3), text=(64, 2, 3), projection=40, act="gelu", eos=999, dtype="float16", shards=1),
    "clip-vit-large-patch14": dict(patch=14, vision=(96, 3, 4), text=(64, 2, 3), projection=56, act="quick_gelu", eos=999, dtype="bfloat16", shards=1),
}


def configuration(patch, vision, text, projection, act, eos, vocabulary, bos):
    def tower(width, heads, layers):
        return dict(hidden_size=width, intermediate_size=4 * width, num_attention_heads=heads, num_hidden_layers=layers, hidden_act=act, projection_dim=projection)

    return CLIPConfig(
        text_config=dict(tower(*text), vocab_size=vocabulary, max_position_embeddings=CLIP_CONTEXT, bos_token_id=bos, eos_token_id=eos, pad_token_id=1),
        vision_config=dict(tower(*vision), image_size=224, patch_size=patch),
        projection_dim=projection,
    )


def pictures():
    """224 x 224, so that resizing is the identity and only the towers are compared."""
    rng = np.random.default_rng(7)
    folder("clip-pictures")
    for name in PICTURES:
        Image.fromarray(photograph(rng, 224, 224, noise=2)).save(GOLDEN / name, optimize=True)


def expect(path, model, tokenizer, dtype, alike=0.98):
    """`expected.safetensors` and `expected.json`: inputs and outputs, computed in f32."""
    model.eval()
    encoded = tokenizer(TEXTS, truncation=True, max_length=CLIP_CONTEXT, padding=True, return_tensors="pt")
    processor = CLIPImageProcessorPil()
    pixels = processor([Image.open(GOLDEN / name) for name in PICTURES], return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        out = model(input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"], pixel_values=pixels.float())
    write_expected(path, dtype, TEXTS, out.text_embeds, PICTURES, out.image_embeds, alike, input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"])
    processor.save_pretrained(path)


def make():
    pictures()
    tokenizer = clip_tokenizer(MERGES)
    for seed, (name, shape) in enumerate(CHECKPOINTS.items()):
        shape = dict(shape)
        dtype, shards = shape.pop("dtype"), shape.pop("shards")
        path = folder(name)
        config = configuration(**shape, vocabulary=len(tokenizer), bos=tokenizer.bos_token_id)
        torch.manual_seed(seed)
        model = CLIPModel(config).float()
        enliven(model, torch.Generator().manual_seed(seed), gain=5.0)
        round_to(model, dtype)
        model.config.dtype = dtype
        config.architectures = ["CLIPModel"]
        config.save_pretrained(path)
        # OpenAI's own files contain these buffers too; a reader must skip them.
        positions = {"text_model.embeddings.position_ids": torch.arange(CLIP_CONTEXT).unsqueeze(0)}
        write_weights(path, model, dtype, shards, positions)
        save_compact(tokenizer, path / "tokenizer.json")
        expect(path, model, tokenizer, dtype)
