"""Golden folders of M-CLIP: its text tower as multilingual_clip computes it, and a CLIP's image tower.

multilingual_clip's class downloads its transformer when it is instantiated, so its four lines are copied here.
"""

import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertModel, XLMRobertaConfig, XLMRobertaModel

import open_clip
import tiny_tokenizers
from golden import enliven, folder, round_to, write_expected, write_json
from openclip import OPENAI, PICTURES, VITS, pixels_of, write_folder
from sentences import bert_tokenizer

TEXTS = ["", "cat", "ein Foto von zwei Katzen", "Två hundar i snön", "猫 🐱 café", "a photo of a cat " * 200]
# modelBase, transformer, its length, tokenizer, padding, the image tower
FOLDERS = {
    "m-clip-xlm-roberta-large-vit-b-16-plus": ("xlm-roberta-large", XLMRobertaConfig, XLMRobertaModel, 62, tiny_tokenizers.xlm_roberta, 1, "vit-b-16-plus-240"),
    "m-clip-labse-vit-l-14": ("sentence-transformers/LaBSE", BertConfig, BertModel, 64, bert_tokenizer, 0, "vit-l-14"),
}


def make():
    for seed, (name, (base, configuration, network, length, make_tokenizer, pad, tower)) in enumerate(FOLDERS.items()):
        text, image = folder(name, "text"), folder(name, "image")
        tokenizer = make_tokenizer(text)
        config = configuration(vocab_size=tokenizer.get_vocab_size(), hidden_size=64, num_hidden_layers=2, num_attention_heads=1, intermediate_size=96, max_position_embeddings=64, type_vocab_size=2 - pad, pad_token_id=pad, layer_norm_eps=1e-5 if pad else 1e-12)
        vision, _, dim, rest, preprocess_cfg, file = VITS[tower]
        torch.manual_seed(700 + seed)
        transformer, linear = network(config), torch.nn.Linear(64, dim)
        model = torch.nn.ModuleDict({"transformer": transformer, "LinearTransformation": linear}).float().eval()
        enliven(model, torch.Generator().manual_seed(700 + seed), gain=4.0)
        round_to(model, "float16")
        write_json(text / "config.json", {"model_type": "M-CLIP", "modelBase": base, "transformerDimensions": 64, "numDims": dim})
        save_file({key: value.half() if value.is_floating_point() else value for key, value in model.state_dict().items()}, text / "model.safetensors")

        model_cfg = dict(embed_dim=dim, vision_cfg=vision, text_cfg=dict(width=8, heads=1, layers=1, vocab_size=10), **rest)
        clip = open_clip.CLIP(**model_cfg).float().eval()
        enliven(clip, torch.Generator().manual_seed(710 + seed), gain=4.0)
        round_to(clip, "float16")
        write_folder(image, clip, model_cfg, preprocess_cfg, "float16", file)

        ids, mask = tiny_tokenizers.rows(tokenizer, TEXTS, length, pad)
        with torch.no_grad():
            embs = transformer(input_ids=ids, attention_mask=mask)[0]
            texts = linear((embs * mask.unsqueeze(2)).sum(dim=1) / mask.sum(dim=1)[:, None])
            images = clip.encode_image(pixels_of(model_cfg, preprocess_cfg))
        write_expected(folder(name), "float16", TEXTS, texts, PICTURES, images, alike=0.99)
