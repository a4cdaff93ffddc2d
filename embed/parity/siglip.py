"""Golden checkpoints of transformers' SiglipModel: SigLIP, and SigLIP 2 at a fixed size."""

import torch
from PIL import Image
from transformers import SiglipConfig, SiglipModel
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

import tiny_tokenizers
from golden import GOLDEN, enliven, folder, round_to, write_expected, write_json, write_weights

TEXTS = ["", "cat", "a photo of a cat", "Two dogs playing in the SNOW, at night!", "猫 🐱 café", "a photo of a cat " * 30]
PICTURES = ["images/333x250.png", "images/97x131.png", "clip-pictures/a.png"]
CONTEXT = 64

# tokenizer, its padding, image size, patch, resampling (bicubic, bilinear)
CHECKPOINTS = {
    "siglip-base-patch16-224": (tiny_tokenizers.siglip, 1, 224, 16, 3),
    "siglip2-base-patch16-256": (tiny_tokenizers.siglip2, 0, 256, 16, 2),
    # Its patches cover only 378 of 384 pixels.
    "siglip-so400m-patch14-384": (tiny_tokenizers.siglip, 1, 384, 14, 3),
}


def make():
    for seed, (name, (tokenizer, pad, size, patch, resample)) in enumerate(CHECKPOINTS.items()):
        path = folder(name)
        words = tokenizer(path)
        width, inner = (36, 134) if "so400m" in name else (32, 128)
        layers = dict(hidden_size=width, intermediate_size=inner, num_hidden_layers=2, num_attention_heads=2)
        config = SiglipConfig(text_config=dict(layers, vocab_size=words.get_vocab_size()), vision_config=dict(layers, image_size=size, patch_size=patch))
        torch.manual_seed(300 + seed)
        model = SiglipModel(config).float().eval()
        enliven(model, torch.Generator().manual_seed(300 + seed), gain=2.0)
        with torch.no_grad():
            model.logit_scale.fill_(4.7)
            model.logit_bias.fill_(-12.9)
        round_to(model, "float16")
        config.architectures = ["SiglipModel"]
        config.save_pretrained(path)
        write_weights(path, model, "float16")
        processor = SiglipImageProcessorPil(size={"height": size, "width": size}, resample=resample)
        settings = processor.to_dict()
        settings["image_processor_type"] = "SiglipImageProcessor"
        write_json(path / "preprocessor_config.json", settings)
        pixels = processor([Image.open(GOLDEN / picture) for picture in PICTURES], return_tensors="pt")["pixel_values"].float()
        # Lower case, as both were trained; padding is not masked.
        ids, _ = tiny_tokenizers.rows(words, [text.lower() for text in TEXTS], CONTEXT, pad, to=CONTEXT)
        with torch.no_grad():
            out = model(input_ids=ids, pixel_values=pixels)
        write_expected(path, "float16", TEXTS, out.text_embeds, PICTURES, out.image_embeds, alike=0.998, logits=out.logits_per_text)
