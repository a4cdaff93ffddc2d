"""Golden folders of OpenCLIP's models with RoBERTa and XLM-RoBERTa text towers."""

import open_clip
import torch
from open_clip.hf_model import HFTextEncoder
from transformers import RobertaConfig, XLMRobertaConfig

import tiny_tokenizers
from golden import enliven, folder, round_to, write_expected
from openclip import OPENAI, PICTURES, TEXTS, VITS, pixels_of, write_folder
from tokens import CLIP_CONTEXT

# B-32 with patches of 16, because larger ones would make up most of a folder's size.
# image tower, quick_gelu, hf_model_name, tokenizer, transformer, projection. Heads are 64 wide, as
# in the published models; folders do not contain it.
FOLDERS = {
    "open-clip-roberta-vit-b": ("vit-b-16", True, "roberta-base", tiny_tokenizers.roberta, RobertaConfig, "mlp"),
    "open-clip-xlm-roberta-base-vit-b": ("vit-b-16", False, "xlm-roberta-base", tiny_tokenizers.xlm_roberta, XLMRobertaConfig, "mlp"),
    "open-clip-xlm-roberta-large-vit-h-14": ("vit-h-14", False, "FacebookAI/xlm-roberta-large", tiny_tokenizers.xlm_roberta, XLMRobertaConfig, "linear"),
}


def make():
    for seed, (name, (tower, quick, base, make_tokenizer, configuration, projection)) in enumerate(FOLDERS.items()):
        path = folder(name)
        tokenizer = make_tokenizer(path, words=500)
        width = 128 if base == "roberta-base" else 64
        layers = 1 if base == "roberta-base" else 2
        config = configuration(vocab_size=tokenizer.get_vocab_size(), hidden_size=width, num_hidden_layers=layers, num_attention_heads=width // 64, intermediate_size=96, max_position_embeddings=82, type_vocab_size=1, pad_token_id=1, layer_norm_eps=1e-5)
        vision, dim = VITS[tower][0], 24
        text = {"hf_model_name": base, "hf_tokenizer_name": base, "hf_pooler_type": "mean_pooler"} | ({} if projection == "mlp" else {"hf_proj_type": projection})
        model_cfg = dict(embed_dim=dim, vision_cfg=vision, text_cfg=text) | ({"quick_gelu": True} if quick else {})
        torch.manual_seed(500 + seed)
        model = open_clip.CustomTextCLIP(embed_dim=dim, vision_cfg=vision, text_cfg=dict(width=16, heads=1, layers=1, vocab_size=10), quick_gelu=quick)
        model.text = HFTextEncoder(base, dim, config=config, pooler_type="mean_pooler", proj_type=projection)
        model.text.transformer.pooler = None  # not in published checkpoints, and unused
        model.float().eval()
        enliven(model, torch.Generator().manual_seed(500 + seed), gain=4.0)
        round_to(model, "float16")
        write_folder(path, model, model_cfg, OPENAI, "float16", "open_clip_model.safetensors")
        # OpenCLIP pads to 77 and masks the padding.
        ids, _ = tiny_tokenizers.rows(tokenizer, TEXTS, CLIP_CONTEXT, 1, to=CLIP_CONTEXT)
        with torch.no_grad():
            texts, images = model.encode_text(ids), model.encode_image(pixels_of(model_cfg, OPENAI))
        write_expected(path, "float16", TEXTS, texts, PICTURES, images, alike=0.99)
