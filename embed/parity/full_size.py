"""Full-size ViT-B/32, ViT-B/16 and ViT-L/14 with random weights, and every reference pixel, in the cache.

    ./make.sh full
    CLIPDB_PARITY_FULL=~/.cache/clipdb/parity cargo test --release -p clipdb-embed --test parity_figures -- --nocapture
    CLIPDB_PARITY_PIXELS=~/.cache/clipdb/parity/pixels.safetensors cargo test --release -p clipdb-embed --test pixels -- --nocapture
"""

import os
from pathlib import Path

import torch
from transformers import CLIPModel

import images
from clip import configuration, expect
from golden import enliven, write_weights
from tokens import clip_tokenizer, save_compact

# The shapes of OpenAI's three checkpoints.
CHECKPOINTS = {
    "clip-vit-base-patch32": dict(patch=32, vision=(768, 12, 12), text=(512, 8, 12), projection=512),
    "clip-vit-base-patch16": dict(patch=16, vision=(768, 12, 12), text=(512, 8, 12), projection=512),
    "clip-vit-large-patch14": dict(patch=14, vision=(1024, 16, 24), text=(768, 12, 12), projection=768),
}


def main():
    target = Path(os.environ.get("CLIPDB_CACHE", Path.home() / ".cache/clipdb")) / "parity"
    target.mkdir(parents=True, exist_ok=True)
    images.every_pixel(target)
    tokenizer = clip_tokenizer()
    for seed, (name, shape) in enumerate(CHECKPOINTS.items()):
        path = target / name
        path.mkdir(exist_ok=True)
        config = configuration(**shape, act="quick_gelu", eos=2, vocabulary=len(tokenizer), bos=tokenizer.bos_token_id)
        torch.manual_seed(100 + seed)
        model = CLIPModel(config).float()
        enliven(model, torch.Generator().manual_seed(100 + seed), gain=2.0)
        config.architectures = ["CLIPModel"]
        config.save_pretrained(path)
        write_weights(path, model, "float32")
        save_compact(tokenizer, path / "tokenizer.json")
        expect(path, model, tokenizer, "float32", alike=0.9999)
        print(f"{name}: done", flush=True)


if __name__ == "__main__":
    main()
